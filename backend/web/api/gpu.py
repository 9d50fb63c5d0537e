"""``/api/gpu/status``: what the GPU worker last said of itself; what is unknown is null.

This process never touches a device. A worker that has been silent for five seconds is offline,
and its last words are not shown as if they were current.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, current_app, render_template, request
from jinja2 import TemplateNotFound

from backend.catalog import Queue
from backend.gpu.memory_profile import memory_profile
from backend.gpu.memory_trend import MemoryTrend
from backend.gpu.recommendations import advise
from backend.jobs.access.job_owners import visible_jobs
from backend.jobs.service import JobService
from backend.jobs.states import JobState
from backend.web.api.answers import json_answer, service_of
from backend.web.api.gpu_workers import busiest, devices_of, in_order, models_of, residency_of
from backend.web.api.health import age_ms

DEVICE_KEYS = (
    "index", "uuid", "name", "compute_capability", "vram_total_mb", "vram_used_mb",
    "vram_free_mb", "vram_used_by_us_mb", "vram_used_by_others_mb", "fragmentation_pct",
    "gpu_util_pct", "mem_util_pct", "sm_clock_mhz", "sm_clock_max_mhz", "mem_clock_mhz",
    "temp_c", "temp_slowdown_c", "fan_pct", "power_w", "power_limit_w", "energy_j_total",
    "pstate", "throttle", "pcie", "ecc_errors", "processes",
)  # fmt: skip
HOST_KEYS = (
    "name", "cpu", "cpu_cores", "cpu_pct", "ram_used_mb", "ram_total_mb", "swap_mb", "disk_free_gb",
)  # fmt: skip
_PARTS: dict[str, dict[str, Any]] = {
    "vram_used_by_us_mb": dict.fromkeys(("allocated", "reserved", "peak")),
    "throttle": {"active": None, "pct_last_60s": None},
    "pcie": dict.fromkeys(("gen", "gen_max", "width", "width_max", "rx_mb_s", "tx_mb_s")),
}
_NO_WORKER = "no GPU worker has reported in the last five seconds"

blueprint = Blueprint("gpu", __name__)


@blueprint.get("/api/gpu/status")
@blueprint.get("/gpu/status", endpoint="status_alias")
def status() -> Response:
    """Device, worker, queue and host as JSON, or the header's chip when htmx asks."""
    document = gpu_status(service_of(current_app.extensions))
    if request.headers.get("HX-Request") == "true":
        return Response(_chip(document), mimetype="text/html")
    return json_answer(document)


def gpu_status(service: JobService) -> dict[str, Any]:
    """Write the status document from the heartbeats of the GPU queue."""
    beats = in_order([b for b in service.worker_status() if b.get("queue") == Queue.GPU])
    first = beats[0] if beats else {}
    device = first.get("device") or {}
    devices = [_device(entry) for entry in devices_of(beats)]
    sampled_at = max((b.get("sampled_at") or "" for b in beats), default="") or None
    depth = service.store.counts()[JobState.QUEUED]
    return {
        "available": bool(devices),
        "backend": device.get("backend"),
        "reason_unavailable": None if devices else device.get("reason_unavailable", _NO_WORKER),
        "sampled_at": sampled_at,
        "age_ms": age_ms(service, sampled_at),
        "mode": first.get("mode"),
        **{key: device.get(key) for key in ("driver", "cuda", "torch")},
        "devices": devices,
        "models": models_of(beats),
        "residency": residency_of(beats),
        "degraded": any(beat.get("degraded") for beat in beats),
        "degraded_reason": next(filter(None, (b.get("degraded_reason") for b in beats)), None),
        "allocator": first.get("allocator"),
        "worker": _worker(service, busiest(beats)),
        "workers": len(beats),
        "queue": {"depth": depth, "wait_p50_s": None},
        "host": {key: (device.get("host") or {}).get(key) for key in HOST_KEYS},
        **_flat(devices),
        "trends": first.get("trends"),
        "recommendations": _advice(device, first, depth) if beats else [],
        "timestamp": sampled_at,
    }


def _device(entry: dict[str, Any]) -> dict[str, Any]:
    """Fill up to the full shape, so that clients need not ask which keys exist."""
    full = {key: entry.get(key) for key in DEVICE_KEYS}
    full |= {key: empty | (entry.get(key) or {}) for key, empty in _PARTS.items()}
    return full


def _worker(service: JobService, beat: Mapping[str, Any] | None) -> dict[str, Any]:
    if beat is None:
        offline = {"state": "offline", "current_job": None, "stage": None, "progress": None}
        return offline | {"current_jobs": []}
    told = {key: beat.get(key) for key in ("state", "current_job", "stage", "progress")}
    held = beat.get("current_jobs") or []
    first = told["current_job"]
    seen = visible_jobs(service.store.engine, {first, *(one["id"] for one in held)} - {None})
    told["current_job"] = first if first in seen else None
    return told | {"current_jobs": [one for one in held if one["id"] in seen]}


def _flat(devices: list[dict[str, Any]]) -> dict[str, Any]:
    """Write the keys older clients read; their "utilization" is that of the memory."""
    first = devices[0] if devices else dict.fromkeys(DEVICE_KEYS)
    total, used, free = (first[f"vram_{part}_mb"] for part in ("total", "used", "free"))
    used_pct = round(100 * used / total, 1) if total and used is not None else None
    ours = first["vram_used_by_us_mb"] or {}
    known = ours.get("reserved") is not None and ours.get("allocated") is not None
    memory = {
        "total_mb": total,
        "used_mb": used,
        "free_mb": free,
        "cached_mb": ours["reserved"] - ours["allocated"] if known else None,
        "utilization_percent": used_pct,
    }
    return {
        "total_mb": total,
        "used_mb": used,
        "utilization": used_pct,
        "memory": memory,
    }


def _advice(device: dict[str, Any], beat: Mapping[str, Any], queue_size: int) -> list[str]:
    """Say what the card's figures suggest."""
    trends = beat.get("trends") or {}
    known = {field: trends.get(field) for field in MemoryTrend.__dataclass_fields__}
    trend = None if None in known.values() else MemoryTrend(**known)  # type: ignore[arg-type]
    return [advice.text for advice in advise(memory_profile(device), trend, queue_size)]


def _chip(document: dict[str, Any]) -> str:
    try:
        return render_template("fragments/gpu_chip.html", status=document)
    except TemplateNotFound:
        return f"<span>{'GPU' if document['available'] else 'CPU mode'}</span>"
