"""A job that has come to a call, and which call that is."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Any

from backend.batching.halving import Outcome
from backend.batching.shared_progress import Listener
from backend.engines.engine import AnyEngine
from backend.profiling.spans import Span


@dataclass(frozen=True, order=True)
class Place:
    """Which call of a pipeline this is; an earlier stage comes first.

    Parameters
    ----------
    stage : int
        Number of the stage within the pipeline.
    call : int
        Number of the call within the stage.
    engine : str
        Name of the engine.
    """

    stage: int
    call: int
    engine: str


@dataclass(eq=False)
class Arrival:
    """A job that has come to a call.

    Attributes
    ----------
    is_late : bool
        Whether the job came to its batch late, so that nobody waits for it.
    group : sequence of Arrival
        Those whose call it is, settled when it begins; empty as long as others may come first.
    is_alone : bool
        Whether nobody else takes part, so that its own thread makes the call.
    has_begun : bool
        Whether the shared call computes.
    outcome : Outcome or None
        What came of it.
    spans : sequence of Span
        What was recorded in the shared call.
    """

    place: Place
    engine: AnyEngine
    task: Any
    listener: Listener
    is_late: bool = False
    context: Context = field(default_factory=copy_context)
    group: Sequence[Arrival] = ()
    is_alone: bool = False
    has_begun: bool = False
    outcome: Outcome | None = None
    spans: Sequence[Span] = ()
