"""What a person or a script may ask of the manager: offload, release, preload."""

from __future__ import annotations

from backend.errors import GpuBusy, ModelLeased
from backend.residency.manager import ResidencyManager
from backend.residency.records import ModelRecord
from backend.residency.states import ON_DISK, DrainIntent, Outcome, Residence

TURN_TIMEOUT_S = 1.0
ON_THE_WAY = frozenset({Residence.LOADING, Residence.RESTORING})


def offload(
    manager: ResidencyManager, name: str | None = None, *, drain: bool = True
) -> dict[str, Outcome]:
    """Move one model, or all, from the device to host memory.

    Parameters
    ----------
    drain : bool
        Models in use leave when their leases end, and are not leased again before; False refuses.

    Returns
    -------
    dict of str to Outcome
        ``done`` or ``draining`` for each model.

    Raises
    ------
    UnknownModel, ModelLeased
    """
    return _let_leave(manager, name, DrainIntent.OFFLOAD, drain=drain)


def release(
    manager: ResidencyManager, name: str | None = None, *, drain: bool = False
) -> dict[str, Outcome]:
    """Move one model, or all, out of device and host memory; see ``offload``."""
    return _let_leave(manager, name, DrainIntent.RELEASE, drain=drain)


def preload(manager: ResidencyManager, name: str, *, timeout_s: float | None = None) -> None:
    """Bring a model to the device ahead of its use; raises as ``ResidencyManager.lease``."""
    manager.lease(name, timeout_s=timeout_s).release()


def _let_leave(
    manager: ResidencyManager, name: str | None, intent: DrainIntent, *, drain: bool
) -> dict[str, Outcome]:
    with manager.table:
        records = [manager.table.find(name)] if name else [*manager.table.records.values()]
        for record in records:
            _refuse_busy(record, drain=drain)
        for record in records:
            _ask_to_leave(manager, record, intent)
    return {record.name: _see_off(manager, record, intent) for record in records}


def _refuse_busy(record: ModelRecord, *, drain: bool) -> None:
    if drain:
        return
    if record.leases or record.waiting or record.state in ON_THE_WAY:
        jobs = len(record.leases)
        why = f"is in use by {jobs} job{'s' * (jobs > 1)}" if jobs else "is on its way in"
        raise ModelLeased(f"{record.name} {why}.")


def _ask_to_leave(manager: ResidencyManager, record: ModelRecord, intent: DrainIntent) -> None:
    if record.state in (Residence.RESIDENT, Residence.DRAINING):
        manager.departures.start_drain(record, intent, f"asked to {intent}")
    elif record.state is Residence.FAILED and intent is DrainIntent.RELEASE:
        record.failure = None
        manager.table.move(record, Residence.UNLOADED, "the failure was acknowledged")
    elif record.state in ON_THE_WAY | {Residence.OFFLOADING} or record.waiting:
        manager.departures.note_intent(record, intent)  # honoured when it has arrived


def _see_off(manager: ResidencyManager, record: ModelRecord, intent: DrainIntent) -> Outcome:
    with manager.table:
        if record.state is Residence.HOST and intent is DrainIntent.RELEASE and not record.waiting:
            manager.table.move(record, Residence.RELEASING, "asked to release")
            from_host = True
        else:
            from_host = False
    if from_host:
        manager.departures.drop_host_copy(record)
    elif record.state is Residence.DRAINING:
        try:
            manager.departures.carry_out(record, timeout_s=TURN_TIMEOUT_S)
        except GpuBusy:
            return Outcome.DRAINING
    with manager.table:
        gone = ON_DISK if intent is DrainIntent.RELEASE else ON_DISK | {Residence.HOST}
        return Outcome.DONE if record.state in gone else Outcome.DRAINING
