"""The memory of the device as a whole, other processes included, beside how busy it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class GPUMemoryProfile:
    """One look at the device; every figure is None where it is unknown.

    Parameters
    ----------
    total_mb, used_mb, free_mb : float or None
        Of the whole device.
    cached_mb, allocated_mb : float or None
        Held by this process's allocator without use, and in use; None while torch is not in use.
    utilization_percent : float or None
        Share of the memory in use.
    gpu_utilization_percent : float or None
        Share of the time in which the device computed: another figure, not to be mixed up.
    """

    total_mb: float | None
    used_mb: float | None
    free_mb: float | None
    cached_mb: float | None
    utilization_percent: float | None
    gpu_utilization_percent: float | None
    others_mb: float | None = None
    allocated_mb: float | None = None
    name: str | None = None
    source: str = "psutil"
    reason_unavailable: str | None = None

    @property
    def available_for_processing(self) -> float | None:
        """What new work may take: free on the device, and what our allocator can reuse."""
        if self.free_mb is None:
            return None
        return self.free_mb + (self.cached_mb or 0.0)


def memory_profile(status: dict[str, Any]) -> GPUMemoryProfile:
    """Extract the profile of the first device from a status.

    Parameters
    ----------
    status : dict
        As ``backend.gpu.telemetry.device_status`` returns it.
    """
    devices = status.get("devices") or [{}]
    device = devices[0]
    total, used = device.get("vram_total_mb"), device.get("vram_used_mb")
    ours = device.get("vram_used_by_us_mb") or {}
    reserved, allocated = ours.get("reserved"), ours.get("allocated")
    known = total is not None and used is not None and total > 0
    reason = status.get("reason_unavailable")
    if device.get("name") and not known:
        reason = f"the memory of {device['name']} cannot be read"
    return GPUMemoryProfile(
        total_mb=total,
        used_mb=used,
        free_mb=device.get("vram_free_mb"),
        cached_mb=None if reserved is None or allocated is None else reserved - allocated,
        utilization_percent=100 * used / total if known else None,
        gpu_utilization_percent=device.get("gpu_util_pct"),
        others_mb=device.get("vram_used_by_others_mb"),
        name=device.get("name"),
        source=status.get("backend") or "psutil",
        reason_unavailable=reason,
        allocated_mb=allocated,
    )
