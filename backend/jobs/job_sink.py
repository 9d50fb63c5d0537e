"""Where a running job reports: the row at stage changes, the stream at most five times a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from backend.jobs.artefacts import ArtefactStore, sha256_of
from backend.jobs.claims import ClaimedJob, Claims
from backend.jobs.events import EventLog
from backend.jobs.records import OutputRecord, output_document
from backend.jobs.states import EventType, JobState, StageState
from backend.units import Clock

EVENT_EVERY_S = 0.2
ROW_EVERY_S = 1.0
FLAG_EVERY_S = 0.1
MAX_BEFORE_END = 99.0


class JobSink:
    """The ProgressSink of one attempt of a job.

    Parameters
    ----------
    job : ClaimedJob
        Whose progress this is.
    claims : Claims
        Writes the row.
    events : EventLog
        Writes the stream.
    clock : Clock
        Measures the pauses between writes.
    artefacts : ArtefactStore, optional
        Shows files of the running attempt to other machines.
    """

    def __init__(
        self,
        job: ClaimedJob,
        claims: Claims,
        events: EventLog,
        clock: Clock,
        artefacts: ArtefactStore | None = None,
    ) -> None:
        self._job = job
        self._claims = claims
        self._events = events
        self._clock = clock
        self._artefacts = artefacts
        self._done = 0
        self._told_s = self._stored_s = self._looked_s = self._flagged_s = -1e9
        self._stopped = False
        self.stage: str | None = None
        self.progress = 0.0

    def started(self) -> None:
        """Say that the attempt runs."""
        data = {"status": JobState.RUNNING.value, "attempt": self._job.attempt}
        self._publish(EventType.STATE, data | {"queue_position": None, "progress": 0.0})

    def stage_started(self, stage: str) -> None:
        """A stage begins: told at once."""
        self.stage = stage
        self._change_stage(stage, StageState.RUNNING, None)

    def stage_progress(self, stage: str, step: int, steps: int) -> None:
        """A step is done: told at most five times a second, stored at most once a second."""
        share = min(1.0, step / steps) if steps else 0.0
        self.progress = self._overall(share)
        now_s = self._clock.monotonic_s()
        if now_s - self._told_s >= EVENT_EVERY_S or step >= steps:
            self._told_s = now_s
            self._publish(
                EventType.PROGRESS,
                {
                    "stage": stage,
                    "step": step,
                    "steps": steps,
                    "stage_progress": round(100 * share, 1),
                    "progress": round(self.progress, 1),
                },
            )
        if now_s - self._stored_s >= ROW_EVERY_S:
            self._stored_s = now_s
            values = {"progress": 100 * share, "step": step, "steps": steps}
            self._claims.update_stage(self._job, stage, self.progress, values)

    def stage_finished(self, stage: str, elapsed_s: float) -> None:
        """A stage ended well: told at once."""
        self._done += 1
        self._change_stage(stage, StageState.SUCCEEDED, elapsed_s)

    def engine_chosen(self, role: str, engine: str) -> None:
        """Note the engine with the job."""
        self._claims.set_engine(self._job, role, engine)
        message = f"The {role} engine is {engine}."
        self._publish(EventType.LOG, {"level": "info", "message": message})

    def artifact(self, name: str, role: str, path: Path) -> None:
        """Offer a file while the job still runs."""
        record = OutputRecord(
            name, path.suffix.lstrip("."), role, path.stat().st_size, sha256_of(path)
        )
        if self._artefacts is not None:
            self._artefacts.offer(self._job.id, self._job.attempt, path)
        self._publish(EventType.ARTIFACT, output_document(self._job.id, record))

    def warn(self, message: str) -> None:
        """Keep a note with the job and tell it."""
        self._claims.add_warning(self._job, message)
        self._publish(EventType.LOG, {"level": "warning", "message": message})

    def is_canceled(self) -> bool:
        """Whether to stop: the flag is looked at every 0.1 s, the row every second."""
        now_s = self._clock.monotonic_s()
        if not self._stopped and now_s - self._flagged_s >= FLAG_EVERY_S:
            self._flagged_s = now_s
            self._stopped = self._events.has_cancel_flag(self._job.id)
        if not self._stopped and now_s - self._looked_s >= ROW_EVERY_S:
            self._looked_s = now_s
            self._stopped = self._claims.is_stopped(self._job)
        return self._stopped

    def _change_stage(self, stage: str, state: StageState, elapsed_s: float | None) -> None:
        self.progress = self._overall(0.0)
        finished = state is StageState.SUCCEEDED
        values: dict[str, Any] = {"status": state.value, "elapsed_s": elapsed_s}
        values["progress"] = 100.0 if finished else 0.0
        self._claims.update_stage(self._job, stage, self.progress, values)
        self._publish(
            EventType.STAGE,
            {
                "name": stage,
                "status": state.value,
                "elapsed_s": elapsed_s,
                "stage_index": self._done,
                "stage_count": len(self._job.stages),
                "progress": round(self.progress, 1),
            },
        )

    def _overall(self, share: float) -> float:
        whole = 100.0 * (self._done + share) / max(1, len(self._job.stages))
        return max(self.progress, min(whole, MAX_BEFORE_END))

    def _publish(self, kind: EventType, data: dict[str, Any]) -> None:
        if kind in (EventType.STAGE, EventType.PROGRESS):
            # Whoever missed the state event, with Redis away, would see the progress fall.
            data = data | {"attempt": self._job.attempt}
        self._events.publish(self._job.id, kind, data)
