"""The policy of residency while auto-tune tries others: it is the process's, not a run's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from backend.residency.policies import Policy
from backend.residency.process import ProcessResidency
from backend.runtime_settings import SettingName
from backend.tuning.search_space import Values


def follow_policy(values: Values, residency: ProcessResidency) -> None:
    """Carry a policy to the models; does nothing where no model has been used or none may move."""
    wanted = values.get(SettingName.RESIDENCY)
    if wanted is None or not (residency.started and residency.enabled):
        return
    if residency.policy.value != wanted:
        residency.change_rules(policy=Policy(str(wanted)))


@contextmanager
def policy_kept(residency: ProcessResidency) -> Iterator[None]:
    """Leave the policy after the block as it was before it."""
    before = residency.policy
    try:
        yield
    finally:
        if residency.policy is not before:
            residency.change_rules(policy=before)
