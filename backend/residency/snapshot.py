"""What the manager says of itself: one consistent look at table, budget and transitions."""

from __future__ import annotations

from typing import Any

from backend.residency.budget import Budget
from backend.residency.device import MemoryReading
from backend.residency.manager import ResidencyManager
from backend.residency.policies import Conduct
from backend.residency.records import ModelRecord, Restore
from backend.residency.states import Transition
from backend.units import MB, iso

SHOWN_TRANSITIONS = 20
GB = 1e9  # rates of links are given in decimal units


def residency_status(manager: ResidencyManager) -> dict[str, Any]:
    """Describe models, memory and rules.

    Returns
    -------
    dict
        ``models`` (list) and ``residency`` (dict), JSON-ready; sizes in MB, times in seconds,
        unknown values None.
    """
    reading = manager.device.memory()
    link = manager.device.known_link_bytes_per_s()
    with manager.table:
        return {
            "models": [_model(manager, r, link) for r in manager.table.records.values()],
            "residency": _residency(manager, reading, link),
        }


def _residency(
    manager: ResidencyManager, reading: MemoryReading, link: float | None
) -> dict[str, Any]:
    table, rules = manager.table, manager.rules
    records = table.records.values()
    return {
        "policy": rules.policy.value,
        "policy_in_force": _policy_in_force(manager),
        "idle_offload_s": rules.idle_offload_s,
        "idle_release_s": rules.idle_release_s,
        "backend": manager.device.name.value,
        "budget": _budget(table.budget(reading)),
        "host": {
            "pin_budget_mb": _mb(rules.pin_budget_bytes),
            "pinned_mb": _mb(table.pinned_bytes),
            "used_mb": _mb(sum(r.copy.host_bytes for r in records if r.copy)),
        },
        "link": {"gb_per_s": None if link is None else round(link / GB, 2)},
        "switches": table.switches,
        "transitions": [_transition(t) for t in list(table.transitions)[:-SHOWN_TRANSITIONS-1:-1]],
    }  # fmt: skip


def _policy_in_force(manager: ResidencyManager) -> str | None:
    """Name what is done with the models; several rules at once under ``auto`` are all named."""
    conducts = {manager.table.conduct(r) for r in manager.table.records.values() if r.loads}
    if not conducts:
        return None
    return "+".join(conduct.value for conduct in Conduct if conduct in conducts)


def _budget(budget: Budget) -> dict[str, Any]:
    return {
        "total_mb": _mb(budget.total),
        "reserve_mb": _mb(budget.margin),
        "reserved_mb": _mb(budget.promised),
        "models_mb": _mb(budget.models),
        "activations_mb": _mb(budget.activations),
        "cache_mb": _mb(budget.cache),
        "others_mb": _mb(budget.others),
        "available_mb": _mb(max(0, budget.available)),
    }


def _model(manager: ResidencyManager, record: ModelRecord, link: float | None) -> dict[str, Any]:
    now_s = manager.table.clock.monotonic_s()
    used = record.loads > 0 and not record.leases
    return {
        "name": record.name,
        "title": record.spec.title or record.name,
        "state": record.state.value,
        "size_mb": _mb(record.size_bytes) if record.size_bytes else None,
        "vram_mb": _mb(record.block_bytes),
        "ram_mb": _mb(record.copy.host_bytes if record.copy else 0),
        "pinned": record.pin_state and record.pin_state.value,
        "keep": record.spec.keep,
        "leases": len(record.leases),
        "idle_s": round(max(0.0, now_s - record.last_used_s), 1) if used else None,
        "conduct": manager.table.conduct(record).value if record.loads else None,
        "loads": record.loads,
        "evictions": record.evictions,
        "last_restore": _restore(record.last_restore, manager.device.name.value, link),
        "error": record.failure.detail if record.failure else None,
    }


def _restore(restore: Restore | None, backend: str, link: float | None) -> dict[str, Any] | None:
    """Describe a restore; a rate is a statement about a link, and only CUDA crosses one."""
    if restore is None:
        return None
    rate = restore.bytes_per_s if backend == "cuda" else None
    return {
        "elapsed_s": round(restore.elapsed_s, 4),
        "size_mb": _mb(restore.size_bytes),
        "gb_per_s": rate and round(rate / GB, 2),
        "pct_of_link": round(100 * rate / link, 1) if rate and link else None,
    }


def _transition(transition: Transition) -> dict[str, Any]:
    return {
        "seq": transition.seq,
        "at": iso(transition.at),
        "model": transition.model,
        "from": transition.before.value,
        "to": transition.after.value,
        "reason": transition.reason,
        "elapsed_s": round(transition.elapsed_s, 3),
    }


def _mb(size_bytes: int) -> float:
    return round(size_bytes / MB, 1)
