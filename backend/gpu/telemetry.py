"""What the device does right now: NVML when there is a driver, the host in any case.

Unknown values are None, never 0. Nothing here imports torch.
"""

from __future__ import annotations

import os
import platform
from functools import cache
from typing import Any

import psutil

from backend.gpu.nvml import NvmlDevices, open_nvml
from backend.units import MB


def device_status() -> dict[str, Any]:
    """Read devices and host once.

    Returns
    -------
    dict
        ``available``, ``backend`` ('nvml' or 'psutil'), ``reason_unavailable``, ``driver``,
        ``cuda``, ``devices`` (empty without a GPU), ``host``. Memory in MB, power in watts.
    """
    source, reason = _nvml()
    devices = source.devices() if source else []
    return {
        "available": bool(devices),
        "backend": source.backend if source else "psutil",
        "reason_unavailable": None if devices else (reason or "no NVIDIA device was found"),
        "driver": source.driver if source else None,
        "cuda": source.cuda if source else None,
        "devices": devices,
        "host": host_status(),
    }


def host_status() -> dict[str, Any]:
    """Read processor, memory and disk of the machine."""
    memory = psutil.virtual_memory()
    return {
        "name": platform.node(),
        "cpu": platform.processor() or platform.machine(),
        "cpu_cores": os.cpu_count(),
        "cpu_pct": psutil.cpu_percent(interval=None),
        "ram_used_mb": round((memory.total - memory.available) / MB),
        "ram_total_mb": round(memory.total / MB),
        "swap_mb": round(psutil.swap_memory().used / MB),
        "disk_free_gb": round(psutil.disk_usage("/").free / 1024**3, 1),
    }


def has_cuda_device() -> bool:
    """Whether the driver reports at least one device."""
    source, _ = _nvml()
    return bool(source and source.devices())


@cache
def _nvml() -> tuple[NvmlDevices | None, str | None]:
    return open_nvml()
