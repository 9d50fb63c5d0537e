"""The jobs that a worker's child holds now: alone, as a batch, or a batch and the next claim."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backend.jobs.claims import ClaimedJob
from backend.jobs.job_sink import JobSink

if TYPE_CHECKING:
    from backend.batch_processor import BatchMember


@dataclass(eq=False)
class HeldJob:
    """A job that this child runs.

    Parameters
    ----------
    sink : JobSink
        Where it reports.
    started_s : float
        When it began, on the worker's monotonic clock.
    batch_size : int
        Jobs of its claim, those that have come late too.
    member : BatchMember or None
        Its place in the batch; None for a job that runs by itself.

    Attributes
    ----------
    has_overlapped : bool
        Whether jobs that did not begin with it were held at some time meanwhile.
    """

    job: ClaimedJob
    sink: JobSink
    started_s: float
    batch_size: int = 1
    member: BatchMember | None = None
    has_overlapped: bool = False

    def worked_s(self, now_s: float) -> float:
        """Seconds since its start, without those in which it waited for others."""
        return now_s - self.started_s - (self.member.waited_s if self.member else 0.0)

    def share_of(self, amount: float | None) -> float | None:
        """Its part of what was used while it ran, such as energy.

        The jobs of a batch share it alike. Where two claims were held at once, or jobs came
        late, nobody knows which of them used it: None.
        """
        return None if amount is None or self.has_overlapped else amount / self.batch_size

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for others now."""
        return self.member is not None and self.member.is_waiting


class HeldJobs:
    """All of them, oldest first; safe for several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: list[HeldJob] = []

    def add(self, jobs: Sequence[HeldJob]) -> None:
        """Note jobs that begin together; with others held, all of them have overlapped."""
        with self._lock:
            if self._jobs:
                for held in (*self._jobs, *jobs):
                    held.has_overlapped = True
            self._jobs.extend(jobs)

    def remove(self, held: HeldJob) -> None:
        """Note that a job has ended."""
        with self._lock:
            if held in self._jobs:
                self._jobs.remove(held)

    def all(self) -> tuple[HeldJob, ...]:
        """Those held now."""
        with self._lock:
            return tuple(self._jobs)

    @property
    def first(self) -> HeldJob | None:
        """The one held for longest; None while idle."""
        held = self.all()
        return held[0] if held else None

    def __contains__(self, held: HeldJob) -> bool:
        with self._lock:
            return held in self._jobs
