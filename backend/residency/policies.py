"""How long a model stays: five policies, and the rule by which ``auto`` chooses among them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

OFTEN_PER_MIN, SELDOM_PER_MIN = 10.0, 1.0


class Policy(StrEnum):
    """What the user asks for."""

    AUTO = "auto"
    RESIDENT = "resident"
    OFFLOAD_AFTER_USE = "offload_after_use"
    ONE_AT_A_TIME = "one_at_a_time"
    RELEASE_AFTER_USE = "release_after_use"


class Conduct(StrEnum):
    """What is done with one model now; ``LRU`` is reached through ``auto`` only."""

    RESIDENT = "resident"
    LRU = "lru"
    OFFLOAD_AFTER_USE = "offload_after_use"
    ONE_AT_A_TIME = "one_at_a_time"
    RELEASE_AFTER_USE = "release_after_use"

    @property
    def obeys_timers(self) -> bool:
        """Whether idleness moves the model."""
        return self is not Conduct.RESIDENT


@dataclass(frozen=True)
class ResidencyRules:
    """What can be set.

    Parameters
    ----------
    idle_offload_s, idle_release_s : float
        An idle model leaves the device after the first, host memory after the second;
        negative is never.
    fraction : float
        Share of the device's memory that this process may hold.
    margin_bytes : int
        Kept free for the driver and for fragmentation.
    pin_budget_bytes : int
        Most host memory that may be page-locked.
    min_residency_s : float
        A model in demand by several callers stays at least this long, against thrash.
    idle_grace_s : float
        A model idle for less than this still counts as in demand.
    lease_timeout_s : float
        Longest wait for a lease where the caller names none.
    retry_failed_s : float
        A failed load is not tried again before this.
    """

    policy: Policy = Policy.AUTO
    idle_offload_s: float = 60.0
    idle_release_s: float = 600.0
    fraction: float = 0.9
    margin_bytes: int = 512 * 1024 * 1024
    pin_budget_bytes: int = 0
    min_residency_s: float = 2.0
    idle_grace_s: float = 0.025
    lease_timeout_s: float = 600.0
    retry_failed_s: float = 30.0


def conduct_for(
    policy: Policy, footprint_bytes: int, capacity_bytes: int, requests_per_min: float
) -> Conduct:
    """Decide what is done with a model.

    Parameters
    ----------
    footprint_bytes : int
        Sum of the sizes of all models in use here.
    capacity_bytes : int
        What models may hold on this device.
    requests_per_min : float
        How often this model was asked for lately.

    Examples
    --------
    >>> conduct_for(Policy.AUTO, 12, 10, 5.0)
    <Conduct.ONE_AT_A_TIME: 'one_at_a_time'>
    >>> [conduct_for(Policy.AUTO, 8, 10, rate).value for rate in (11.0, 5.0, 0.5)]
    ['resident', 'lru', 'offload_after_use']
    """
    if policy is not Policy.AUTO:
        return Conduct(policy.value)
    if footprint_bytes > capacity_bytes:
        return Conduct.ONE_AT_A_TIME
    if requests_per_min > OFTEN_PER_MIN:
        return Conduct.RESIDENT
    return Conduct.OFFLOAD_AFTER_USE if requests_per_min < SELDOM_PER_MIN else Conduct.LRU
