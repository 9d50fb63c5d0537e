"""How much memory of the device work may take beside the weights of one network."""

from __future__ import annotations

from backend.gpu.work_room import DeviceUse, WorkRoom
from backend.gpu_optimizer import get_gpu_optimizer
from backend.residency.process import current_residency


def room_beside(weights_bytes: int) -> int:
    """Return what is left of the device once every other network has left it, at least 0."""
    return work_room(weights_bytes).most


def work_room(weights_bytes: int, held_bytes: int = 0) -> WorkRoom:
    """Return what the optimizer gives to the work of a network.

    Parameters
    ----------
    weights_bytes : int
        That the network takes on the device.
    held_bytes : int
        Of these, what it holds there already.
    """
    manager = current_residency().manager()
    reading = manager.device.memory()
    with manager.table:
        budget = manager.table.budget(reading)
    elsewhere = manager.idle_elsewhere_bytes  # other servers let it go as our own networks do
    use = DeviceUse(
        total=reading.total_bytes,
        free=reading.free_bytes + elsewhere,
        reserved=reading.reserved_bytes,
        held=max(0, budget.models - held_bytes) + budget.work + elsewhere,
        fraction=manager.rules.fraction,
        reserve=manager.rules.margin_bytes,
    )
    return get_gpu_optimizer().work_room(use, weights_bytes)
