"""Which GPUs get a worker."""

from __future__ import annotations

from typing import Any

from backend.errors import InvalidParameter

ALL, LEAST_USED, CPU = "all", "least-used", "cpu"


def choose_gpus(spec: str, devices: list[dict[str, Any]]) -> list[str]:
    """Choose GPUs.

    Parameters
    ----------
    spec : str
        ``all``, ``least-used``, ``cpu``, or a comma-separated list of indices and UUIDs.
    devices : list of dict
        Readings with ``index``, ``uuid``, ``name``, ``vram_free_mb``, ``gpu_util_pct``.

    Returns
    -------
    list of str
        What to put into ``CUDA_VISIBLE_DEVICES``, one each: the UUID, or the index where the
        driver names none. The least used comes first unless a list was given.

    Raises
    ------
    InvalidParameter
        The list names a GPU that does not exist.
    """
    if spec.strip().lower() in (ALL, LEAST_USED, CPU):
        spec = spec.strip().lower()
    if spec == CPU:
        return []
    if spec in (ALL, LEAST_USED):
        names = [_name(device) for device in sorted(devices, key=_use)]
        return names[:1] if spec == LEAST_USED else names
    found = [_find(part.strip(), devices) for part in spec.split(",")]
    return list(dict.fromkeys(found))


def _use(device: dict[str, Any]) -> tuple[bool, float, float]:
    """Order by free memory, then by work; a card that does not say comes last."""
    free_mb, busy_pct = device.get("vram_free_mb"), device.get("gpu_util_pct")
    return (free_mb is None, -(free_mb or 0), 101 if busy_pct is None else busy_pct)


def _name(device: dict[str, Any]) -> str:
    return str(device.get("uuid") or device["index"])


def _find(part: str, devices: list[dict[str, Any]]) -> str:
    for device in devices:
        if part in (str(device["index"]), device.get("uuid")):
            return _name(device)
    there = ", ".join(f"{d['index']} ({d.get('name')})" for d in devices) or "none"
    raise InvalidParameter(
        f"There is no GPU {part!r}; this machine has: {there}.",
        advice="Set MESHKILN_GPU to all, least-used, cpu, or a list of indices or UUIDs.",
    )
