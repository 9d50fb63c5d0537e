"""How much memory of the device work may take beside the weights of one network."""

from __future__ import annotations

from backend.residency.budget import budget_of
from backend.residency.process import current_residency


def room_beside(weights_bytes: int) -> int:
    """Return what is left of the device once every other network has left it, at least 0."""
    manager = current_residency().manager()
    budget = budget_of(
        manager.device.memory(),
        0,
        0,
        fraction=manager.rules.fraction,
        margin=manager.rules.margin_bytes,
    )
    return max(0, budget.ceiling - weights_bytes)
