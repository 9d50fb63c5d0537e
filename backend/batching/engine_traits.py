"""What running several tasks in one call of an engine would bring."""

from __future__ import annotations

from dataclasses import dataclass

from backend.engines.engine import AnyEngine


@dataclass(frozen=True)
class BatchedStage:
    """A stage of some work, and the engine that would do it now."""

    stage: str
    engine: AnyEngine


def gains_from_batches(engine: AnyEngine) -> bool:
    """Whether one call with several tasks takes less time than a call for each.

    An engine says so with an attribute ``batches``; one that works item by item has none.
    """
    return bool(getattr(engine, "batches", False))


def needs_device_alone(engine: AnyEngine) -> bool:
    """Whether two calls at once would only disturb each other."""
    return gains_from_batches(engine) or engine.needs.device != "cpu"
