"""A sink that also tells when stages begin, for whoever draws time."""

from __future__ import annotations

from collections.abc import Callable

from backend.jobs.artefacts import ArtefactStore
from backend.jobs.claims import ClaimedJob, Claims
from backend.jobs.events import EventLog
from backend.jobs.job_sink import JobSink
from backend.units import Clock


class MarkingSink(JobSink):
    """A ``JobSink`` that hands on the begin of each stage.

    Parameters
    ----------
    mark : callable
        Called with the name of a stage that begins; must return at once.
    """

    def __init__(
        self,
        job: ClaimedJob,
        claims: Claims,
        events: EventLog,
        clock: Clock,
        mark: Callable[[str], None],
        artefacts: ArtefactStore | None = None,
    ) -> None:
        super().__init__(job, claims, events, clock, artefacts)
        self._mark = mark

    def stage_started(self, stage: str) -> None:
        """A stage begins: told at once."""
        self._mark(stage)
        super().stage_started(stage)
