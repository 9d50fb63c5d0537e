"""How much device memory may still be promised: our own ledger and the live reading together."""

from __future__ import annotations

from dataclasses import dataclass

from backend.gpu.work_room import ceiling_bytes
from backend.residency.device import MemoryReading


@dataclass(frozen=True)
class Budget:
    """The device's memory as the manager divides it, in bytes.

    Parameters
    ----------
    others : int
        Held by other processes.
    models : int
        Blocks of weights, by our ledger.
    activations : int
        Used by tensors of ours that are no weights.
    cache : int
        Held by our allocator without use.
    promised : int
        Reserved by leases for work in progress.
    kept : int
        Of what is used beside weights, the part that no promise pays for: it is another process's,
        and no work of ours can use it.
    ceiling : int
        Most that this process may hold.
    """

    total: int
    others: int
    models: int
    activations: int
    cache: int
    promised: int
    margin: int
    ceiling: int
    kept: int = 0

    @property
    def work(self) -> int:
        """What is taken, or promised, beside weights."""
        return self.kept + max(self.promised, self.activations - self.kept)

    @property
    def available(self) -> int:
        """What a new block or promise may take; negative when too much is held already."""
        return self.ceiling - self.models - self.work


def budget_of(
    reading: MemoryReading,
    models: int,
    promised: int,
    *,
    fraction: float,
    margin: int,
    settled: int | None = None,
    kept: int = 0,
) -> Budget:
    """Divide the device's memory.

    ``settled`` is the part of ``models`` that the reading certainly includes; all unless given.

    The driver's figure may lag behind a free, and a neighbour may have grown since our last look:
    what is neither free nor ours counts as held by others, so the smaller of the two views rules.
    """
    others = max(0, reading.total_bytes - reading.free_bytes - reading.reserved_bytes)
    ceiling = ceiling_bytes(
        reading.total_bytes,
        reading.free_bytes,
        reading.reserved_bytes,
        fraction=fraction,
        reserve=margin,
    )
    return Budget(
        total=reading.total_bytes,
        others=others,
        models=models,
        activations=max(0, reading.allocated_bytes - (models if settled is None else settled)),
        cache=max(0, reading.reserved_bytes - reading.allocated_bytes),
        promised=promised,
        margin=margin,
        ceiling=ceiling,
        kept=kept,
    )
