"""NVIDIA readings through NVML; a call that a card or driver does not support reads None."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backend.units import MB


def open_nvml() -> tuple[NvmlDevices | None, str | None]:
    """Connect to the driver; returns the devices, or None and the reason."""
    try:
        import pynvml
    except ImportError:
        return None, "the package nvidia-ml-py is not installed"
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return None, f"no NVIDIA driver answers ({error})"
    return NvmlDevices(pynvml), None


class NvmlDevices:
    """All NVIDIA devices of this machine.

    Parameters
    ----------
    nvml : module
        ``pynvml``, initialised; tests pass a scripted one.
    """

    backend = "nvml"

    def __init__(self, nvml: Any) -> None:
        self._nvml = nvml
        self.driver = _text(self._ask(nvml.nvmlSystemGetDriverVersion))
        version = self._ask(nvml.nvmlSystemGetCudaDriverVersion)
        self.cuda = None if version is None else f"{version // 1000}.{version % 1000 // 10}"

    def devices(self) -> list[dict[str, Any]]:
        """One reading per device; memory in MB, clocks in MHz, power in watts."""
        count = self._ask(self._nvml.nvmlDeviceGetCount) or 0
        return [self._device(index) for index in range(count)]

    def _device(self, index: int) -> dict[str, Any]:
        nvml = self._nvml
        handle = self._ask(nvml.nvmlDeviceGetHandleByIndex, index)
        if handle is None:
            return {"index": index, "name": None}
        capability = self._ask(nvml.nvmlDeviceGetCudaComputeCapability, handle)
        return {
            "index": index,
            "uuid": _text(self._ask(nvml.nvmlDeviceGetUUID, handle)),
            "name": _text(self._ask(nvml.nvmlDeviceGetName, handle)),
            "compute_capability": capability and f"{capability[0]}.{capability[1]}",
            **self._memory(handle),
            **self._activity(handle),
        }

    def _memory(self, handle: Any) -> dict[str, Any]:
        memory = self._ask(self._nvml.nvmlDeviceGetMemoryInfo, handle)
        if memory is None:
            return dict.fromkeys(("vram_total_mb", "vram_used_mb", "vram_free_mb"))
        return {
            "vram_total_mb": round(memory.total / MB),
            "vram_used_mb": round(memory.used / MB),
            "vram_free_mb": round(memory.free / MB),
        }

    def _activity(self, handle: Any) -> dict[str, Any]:
        nvml = self._nvml
        rates = self._ask(nvml.nvmlDeviceGetUtilizationRates, handle)
        power_mw = self._ask(nvml.nvmlDeviceGetPowerUsage, handle)
        limit_mw = self._ask(nvml.nvmlDeviceGetEnforcedPowerLimit, handle)
        return {
            "gpu_util_pct": rates and rates.gpu,
            "mem_util_pct": rates and rates.memory,
            "sm_clock_mhz": self._ask(nvml.nvmlDeviceGetClockInfo, handle, nvml.NVML_CLOCK_SM),
            "temp_c": self._ask(nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU),
            "fan_pct": self._ask(nvml.nvmlDeviceGetFanSpeed, handle),
            "power_w": None if power_mw is None else round(power_mw / 1000, 1),
            "power_limit_w": None if limit_mw is None else round(limit_mw / 1000, 1),
        }

    def _ask(self, call: Callable[..., Any], *args: Any) -> Any:
        try:
            return call(*args)
        except self._nvml.NVMLError:
            return None


def _text(value: Any) -> str | None:
    return value.decode() if isinstance(value, bytes) else value
