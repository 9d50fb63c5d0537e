"""What torch's allocator holds in this process; silent until somebody else has started CUDA."""

from __future__ import annotations

import sys
from typing import Any

from backend.units import MB


def cuda_in_use() -> Any:
    """Return ``torch.cuda`` if this process has started CUDA, else None.

    Another thread may be in the middle of importing torch: its parts may not be there yet.
    """
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    is_initialized = getattr(cuda, "is_initialized", None)
    return cuda if is_initialized is not None and is_initialized() else None


class TorchAllocator:
    """Readings of torch, if it was imported and has started CUDA here.

    It never imports torch and never starts CUDA: both cost seconds and memory.
    """

    backend = "torch"

    def __init__(self) -> None:
        self._cuda = cuda_in_use()

    @property
    def version(self) -> str | None:
        """Version of torch, None while nobody uses it."""
        return getattr(sys.modules.get("torch"), "__version__", None)

    def probe(self) -> str | None:
        """Return None when CUDA has been started here, otherwise why not."""
        return "torch has not started CUDA in this process" if self._cuda is None else None

    def static(self) -> dict[str, Any]:
        """Return the CUDA version that torch was built with."""
        version = getattr(sys.modules.get("torch"), "version", None)
        return {"driver": None, "cuda": getattr(version, "cuda", None)}

    def sample(self, *, slow: bool = False) -> list[dict[str, Any]]:
        """Read every device that torch sees."""
        if self._cuda is None:
            return []
        try:
            return [self._device(index) for index in range(self._cuda.device_count())]
        except RuntimeError:  # the context is lost; the worker notices by itself
            return []

    def add_to(self, devices: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Add what this process holds to the readings of the driver, matched by UUID."""
        ours = {mine["uuid"]: mine for mine in self.sample()}
        keys = ("vram_used_by_us_mb", "fragmentation_pct")
        added = []
        for device in devices:
            mine = ours.get(device.get("uuid"))
            more = {key: mine[key] for key in keys} | _others(device, mine) if mine else {}
            added.append(device | more)
        return added

    def _device(self, index: int) -> dict[str, Any]:
        cuda = self._cuda
        free, total = cuda.mem_get_info(index)
        held = cuda.memory_stats(index)
        reserved = held.get("reserved_bytes.all.current", 0)
        inactive = held.get("inactive_split_bytes.all.current", 0)
        properties = cuda.get_device_properties(index)
        return {
            "index": index,
            "uuid": f"GPU-{properties.uuid}" if hasattr(properties, "uuid") else None,
            "name": properties.name,
            "compute_capability": f"{properties.major}.{properties.minor}",
            "vram_total_mb": round(total / MB),
            "vram_used_mb": round((total - free) / MB),
            "vram_free_mb": round(free / MB),
            "vram_used_by_us_mb": {
                "allocated": round(held.get("allocated_bytes.all.current", 0) / MB),
                "reserved": round(reserved / MB),
                "peak": round(held.get("allocated_bytes.all.peak", 0) / MB),
            },
            "fragmentation_pct": round(100 * inactive / reserved, 1) if reserved else None,
        }


def _others(device: dict[str, Any], mine: dict[str, Any]) -> dict[str, Any]:
    """Estimate what is not our allocator's: other processes and the contexts of all."""
    used = device.get("vram_used_mb")
    if used is None:
        return {"vram_used_by_others_mb": None}
    return {"vram_used_by_others_mb": max(0, used - mine["vram_used_by_us_mb"]["reserved"])}
