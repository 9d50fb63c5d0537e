"""What the device does right now: NVML when there is a driver, the host in any case.

Unknown values are None, never 0. Nothing here imports torch.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from functools import cache
from typing import Any, Protocol

import psutil

from backend.gpu.nvml import NvmlDevices, open_nvml
from backend.gpu.torch_telemetry import TorchAllocator
from backend.units import MB

VISIBLE = "CUDA_VISIBLE_DEVICES"


class TelemetryBackend(Protocol):
    """A source of readings."""

    backend: str

    def probe(self) -> str | None:
        """Return None when it has a device to read, otherwise the reason why not."""

    def static(self) -> dict[str, Any]:
        """Return what does not change."""

    def sample(self, *, slow: bool = False) -> list[dict[str, Any]]:
        """Read every device; no call raises, unknown values are None."""


class HostOnly:
    """A machine without a device to read."""

    backend = "psutil"

    def __init__(self, reason: str = "no NVIDIA device was found") -> None:
        self._reason = reason

    def probe(self) -> str | None:
        """Return why there is no device."""
        return self._reason

    def static(self) -> dict[str, Any]:
        """Return nothing known."""
        return {"driver": None, "cuda": None}

    def sample(self, *, slow: bool = False) -> list[dict[str, Any]]:
        """Return no device."""
        return []


def device_status(*, slow: bool = False) -> dict[str, Any]:
    """Read devices and host once.

    Parameters
    ----------
    slow : bool
        Read the traffic on the bus as well.

    Returns
    -------
    dict
        ``available``, ``backend`` ('nvml', 'torch' or 'psutil'), ``reason_unavailable``,
        ``driver``, ``cuda``, ``torch``, ``devices`` (those this process may use; empty without a
        GPU), ``host``. Memory in MB, power in watts.
    """
    source = telemetry_source()
    devices = visible_devices(source.sample(slow=slow), os.environ)
    allocator = TorchAllocator()
    if source.backend != allocator.backend:
        devices = allocator.add_to(devices)
    return {
        "available": bool(devices),
        "backend": source.backend,
        "reason_unavailable": None if devices else (source.probe() or "no device is visible"),
        "driver": source.static().get("driver"),
        "cuda": source.static().get("cuda"),
        "torch": allocator.version,
        "devices": devices,
        "host": host_status(),
    }


def telemetry_source() -> TelemetryBackend:
    """Choose the best source: the driver, torch's allocator, or the host alone."""
    source, reason = _nvml()
    if source and source.probe() is None:
        return source
    allocator = TorchAllocator()
    if allocator.probe() is None:
        return allocator
    return source or HostOnly(reason or "no NVIDIA device was found")


def visible_devices(devices: list[dict[str, Any]], env: Mapping[str, str]) -> list[dict[str, Any]]:
    """Keep the devices that ``CUDA_VISIBLE_DEVICES`` names, in its order.

    >>> two = [{"index": 0, "uuid": "GPU-a"}, {"index": 1, "uuid": "GPU-b"}]
    >>> [d["index"] for d in visible_devices(two, {"CUDA_VISIBLE_DEVICES": "GPU-b,0"})]
    [1, 0]
    >>> visible_devices(two, {"CUDA_VISIBLE_DEVICES": ""})
    []
    """
    if VISIBLE not in env:
        return devices
    chosen: list[dict[str, Any]] = []
    for name in env[VISIBLE].split(","):
        if name.strip().startswith("MIG-"):  # the driver does not tell whose slice it is
            return devices
        found = [device for device in devices if _is_called(name.strip(), device)]
        if not found:  # CUDA ignores what follows a name that it does not know
            break
        chosen += found
    return chosen


def _is_called(name: str, device: dict[str, Any]) -> bool:
    short = len(name) > len("GPU-") and (device.get("uuid") or "").startswith(name)
    return name == str(device.get("index")) or short


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
    """Whether the driver reports at least one device that this process may use."""
    source, _ = _nvml()
    return bool(source and visible_devices(source.sample(), os.environ))


@cache
def _nvml() -> tuple[NvmlDevices | None, str | None]:
    return open_nvml()
