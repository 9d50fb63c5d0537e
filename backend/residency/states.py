"""Where a model is, and what happens to it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Residence(StrEnum):
    """Where the weights of a model are."""

    UNLOADED = "unloaded"
    LOADING = "loading"
    HOST = "host"
    RESTORING = "restoring"
    RESIDENT = "resident"
    DRAINING = "draining"
    OFFLOADING = "offloading"
    RELEASING = "releasing"
    FAILED = "failed"


ON_DEVICE = frozenset(
    {Residence.RESTORING, Residence.RESIDENT, Residence.DRAINING, Residence.OFFLOADING}
)
ON_DISK = frozenset({Residence.UNLOADED, Residence.FAILED})


class DrainIntent(StrEnum):
    """What follows when the last lease of a draining model ends."""

    EVICT = "evict"
    OFFLOAD = "offload"
    RELEASE = "release"


class PinState(StrEnum):
    """How much of a host copy the device may read directly."""

    FULL = "full"
    PARTIAL = "partial"
    NONE = "none"


class Outcome(StrEnum):
    """What a control call achieved."""

    DONE = "done"
    DRAINING = "draining"
    STARTED = "started"


@dataclass(frozen=True)
class Transition:
    """One change of state.

    Parameters
    ----------
    seq : int
        Counts all transitions of one manager.
    elapsed_s : float
        How long the model had been in the state it left.
    """

    seq: int
    at: datetime
    model: str
    before: Residence
    after: Residence
    reason: str
    elapsed_s: float
