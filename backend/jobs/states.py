"""The states of a job and of its stages."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class JobState(StrEnum):
    """Where a job is; the last four never change into anything but ``expired``."""

    QUEUED = "queued"
    RUNNING = "running"
    CANCELING = "canceling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"

    @property
    def is_terminal(self) -> bool:
        """Whether the job has ended."""
        return self in TERMINAL


TERMINAL = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELED, JobState.EXPIRED})


class StageState(StrEnum):
    """Where a stage is."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


class Priority(IntEnum):
    """Higher runs first."""

    LOW = 0
    NORMAL = 1
    HIGH = 2


class EventType(StrEnum):
    """Types of events on a job's stream."""

    SNAPSHOT = "snapshot"
    STATE = "state"
    STAGE = "stage"
    PROGRESS = "progress"
    LOG = "log"
    ARTIFACT = "artifact"
    GAP = "gap"
    END = "end"
