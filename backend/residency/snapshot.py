"""What the manager says of itself: one consistent look at table, budget and transitions."""

from __future__ import annotations

from typing import Any

from backend.residency.budget import Budget
from backend.residency.device import MemoryReading
from backend.residency.device_with_guests import GuestCopy
from backend.residency.manager import ResidencyManager
from backend.residency.policies import Conduct, ResidencyRules
from backend.residency.records import ModelRecord, ModelSpec, Restore
from backend.residency.states import Residence, Transition
from backend.units import MB, iso

SHOWN_TRANSITIONS = 20
BUDGET_KEYS = (
    "total_mb", "reserve_mb", "reserved_mb", "models_mb", "activations_mb", "cache_mb",
    "others_mb", "available_mb",
)  # fmt: skip
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
    free_host_mb = _mb(manager.free_host())
    with manager.table:
        models = [_model(manager, r, link) for r in manager.table.records.values()]
        residency = _residency(manager, reading, link)
    residency["host"]["free_mb"] = free_host_mb
    return {"models": models, "residency": residency}


def status_before_start(specs: list[ModelSpec], rules: ResidencyRules) -> dict[str, Any]:
    """Describe models and rules while no device is open; what only a device knows is None."""
    return {
        "models": [_unopened(spec) for spec in specs],
        "residency": _rules(rules)
        | {
            "policy_in_force": None,
            "backend": None,
            "budget": dict.fromkeys(BUDGET_KEYS),
            "host": {
                "pin_budget_mb": _mb(rules.pin_budget_bytes), "pinned_mb": 0.0, "used_mb": 0.0,
                "free_mb": None,
            },
            "link": {"gb_per_s": None},
            "switches": 0,
            "transitions": [],
        },
    }  # fmt: skip


def _rules(rules: ResidencyRules) -> dict[str, Any]:
    return {
        "policy": rules.policy.value,
        "idle_offload_s": rules.idle_offload_s,
        "idle_release_s": rules.idle_release_s,
    }


def _residency(
    manager: ResidencyManager, reading: MemoryReading, link: float | None
) -> dict[str, Any]:
    table, rules = manager.table, manager.rules
    records = table.records.values()
    return _rules(rules) | {
        "policy_in_force": _policy_in_force(manager),
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
        "leftover_mb": _mb(record.copy.leftover_bytes if isinstance(record.copy, GuestCopy) else 0),
        "pid": record.copy.pid if isinstance(record.copy, GuestCopy) else None,
        "pinned": record.pin_state and record.pin_state.value,
        "keep": record.spec.keep,
        "leases": len(record.leases),
        "idle_s": round(max(0.0, now_s - record.last_used_s), 1) if used else None,
        "conduct": manager.table.conduct(record).value if record.loads else None,
        "loads": record.loads,
        "restores": record.restores,
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


def _unopened(spec: ModelSpec) -> dict[str, Any]:
    hint = spec.size_hint_bytes
    return {
        "name": spec.name,
        "title": spec.title or spec.name,
        "state": Residence.UNLOADED.value,
        "size_mb": None if hint is None else _mb(hint),
        "vram_mb": 0.0,
        "ram_mb": 0.0,
        "leftover_mb": 0.0,
        "pid": None,
        "pinned": None,
        "keep": spec.keep,
        "leases": 0,
        "idle_s": None,
        "conduct": None,
        "loads": 0,
        "restores": 0,
        "evictions": 0,
        "last_restore": None,
        "error": None,
    }


def _mb(size_bytes: int) -> float:
    return round(size_bytes / MB, 1)
