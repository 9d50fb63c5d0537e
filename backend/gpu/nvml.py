"""NVIDIA readings through NVML; a call that a card or driver does not support reads None."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from backend.units import MB

HOST_NAMESPACE = "pid:[4026531836]"
REASONS = (  # name of the bit in nvidia-ml-py, our word for it; idleness is no throttling
    ("SwPowerCap", "power_cap"),
    ("HwSlowdown", "hardware_slowdown"),
    ("SyncBoost", "sync_boost"),
    ("SwThermalSlowdown", "thermal"),
    ("HwThermalSlowdown", "thermal_hardware"),
    ("HwPowerBrakeSlowdown", "power_brake"),
)


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
        self.driver = _text(self._ask("nvmlSystemGetDriverVersion"))
        version = self._ask("nvmlSystemGetCudaDriverVersion")
        self.cuda = None if version is None else f"{version // 1000}.{version % 1000 // 10}"

    def probe(self) -> str | None:
        """Return None when there is a device, otherwise the reason why not."""
        count = self._ask("nvmlDeviceGetCount")
        return None if count else "no NVIDIA device was found"

    def static(self) -> dict[str, Any]:
        """Return what does not change: versions of driver and CUDA."""
        return {"driver": self.driver, "cuda": self.cuda}

    def devices(self) -> list[dict[str, Any]]:
        """Read every device, without the calls that take long."""
        return self.sample()

    def sample(self, *, slow: bool = False) -> list[dict[str, Any]]:
        """Read every device; memory in MB, clocks in MHz, power in watts.

        Parameters
        ----------
        slow : bool
            Read the traffic on the bus as well, which takes the driver 20 ms a call.
        """
        count = self._ask("nvmlDeviceGetCount") or 0
        return [self._device(index, slow=slow) for index in range(count)]

    def _device(self, index: int, *, slow: bool) -> dict[str, Any]:
        handle = self._ask("nvmlDeviceGetHandleByIndex", index)
        if handle is None:  # a card that is lost must not end the process
            return {"index": index, "uuid": None, "name": None, "vram_total_mb": None}
        capability = self._ask("nvmlDeviceGetCudaComputeCapability", handle)
        return {
            "index": index,
            "uuid": _text(self._ask("nvmlDeviceGetUUID", handle)),
            "name": _text(self._ask("nvmlDeviceGetName", handle)),
            "compute_capability": capability and f"{capability[0]}.{capability[1]}",
            **self._memory(handle),
            **self._activity(handle),
            **self._clocks(handle),
            **self._power(handle),
            "throttle": {"active": self._throttle(handle)},
            "pcie": self._pcie(handle, slow=slow),
            "ecc_errors": self._ecc_errors(handle),
            "processes": self._processes(handle),
        }

    def _memory(self, handle: Any) -> dict[str, Any]:
        memory = self._ask("nvmlDeviceGetMemoryInfo", handle)
        if memory is None:
            return dict.fromkeys(("vram_total_mb", "vram_used_mb", "vram_free_mb"))
        return {
            "vram_total_mb": round(memory.total / MB),
            "vram_used_mb": round(memory.used / MB),
            "vram_free_mb": round(memory.free / MB),
        }

    def _activity(self, handle: Any) -> dict[str, Any]:
        rates = self._ask("nvmlDeviceGetUtilizationRates", handle)
        slowdown = self._constant("NVML_TEMPERATURE_THRESHOLD_SLOWDOWN")
        return {
            "gpu_util_pct": None if rates is None else rates.gpu,
            "mem_util_pct": None if rates is None else rates.memory,
            "temp_c": self._ask(
                "nvmlDeviceGetTemperature", handle, self._constant("NVML_TEMPERATURE_GPU")
            ),
            "temp_slowdown_c": self._ask("nvmlDeviceGetTemperatureThreshold", handle, slowdown),
            "fan_pct": self._ask("nvmlDeviceGetFanSpeed", handle),
        }

    def _clocks(self, handle: Any) -> dict[str, Any]:
        sm, memory = self._constant("NVML_CLOCK_SM"), self._constant("NVML_CLOCK_MEM")
        pstate = self._ask("nvmlDeviceGetPerformanceState", handle)
        return {
            "sm_clock_mhz": self._ask("nvmlDeviceGetClockInfo", handle, sm),
            "sm_clock_max_mhz": self._ask("nvmlDeviceGetMaxClockInfo", handle, sm),
            "mem_clock_mhz": self._ask("nvmlDeviceGetClockInfo", handle, memory),
            "pstate": None if pstate is None else f"P{pstate}",
        }

    def _power(self, handle: Any) -> dict[str, Any]:
        power_mw = self._ask("nvmlDeviceGetPowerUsage", handle)
        limit_mw = self._ask("nvmlDeviceGetEnforcedPowerLimit", handle)
        energy_mj = self._ask("nvmlDeviceGetTotalEnergyConsumption", handle)
        return {
            "power_w": None if power_mw is None else round(power_mw / 1000, 1),
            "power_limit_w": None if limit_mw is None else round(limit_mw / 1000, 1),
            "energy_j_total": None if energy_mj is None else round(energy_mj / 1000, 1),
        }

    def _throttle(self, handle: Any) -> list[str] | None:
        """Name what slows the card down; newer drivers know the call by another name."""
        for call, prefix in (
            ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlClocksEventReason"),
            ("nvmlDeviceGetCurrentClocksThrottleReasons", "nvmlClocksThrottleReason"),
        ):
            bits = self._ask(call, handle)
            if bits is not None:
                return [word for name, word in REASONS if bits & self._bit(prefix, name)]
        return None

    def _bit(self, prefix: str, name: str) -> int:
        older = self._constant(f"nvmlClocksThrottleReason{name}")
        return int(self._constant(f"{prefix}{name}") or older or 0)

    def _pcie(self, handle: Any, *, slow: bool) -> dict[str, Any]:
        sent, received = "NVML_PCIE_UTIL_TX_BYTES", "NVML_PCIE_UTIL_RX_BYTES"
        return {
            "gen": self._ask("nvmlDeviceGetCurrPcieLinkGeneration", handle),
            "gen_max": self._ask("nvmlDeviceGetMaxPcieLinkGeneration", handle),
            "width": self._ask("nvmlDeviceGetCurrPcieLinkWidth", handle),
            "width_max": self._ask("nvmlDeviceGetMaxPcieLinkWidth", handle),
            "rx_mb_s": self._traffic(handle, received) if slow else None,
            "tx_mb_s": self._traffic(handle, sent) if slow else None,
        }

    def _traffic(self, handle: Any, direction: str) -> float | None:
        kb_s = self._ask("nvmlDeviceGetPcieThroughput", handle, self._constant(direction))
        return None if kb_s is None else round(kb_s / 1024, 1)

    def _ecc_errors(self, handle: Any) -> int | None:
        count: int | None = self._ask(
            "nvmlDeviceGetTotalEccErrors",
            handle,
            self._constant("NVML_MEMORY_ERROR_TYPE_UNCORRECTED"),
            self._constant("NVML_VOLATILE_ECC"),
        )
        return count

    def _processes(self, handle: Any) -> list[dict[str, Any]] | None:
        """List who computes here; None when the driver does not tell."""
        found: Iterable[Any] | None = self._ask("nvmlDeviceGetComputeRunningProcesses", handle)
        if found is None:
            return None
        return [
            {
                "pid": process.pid,
                "name": _process_name(process.pid),
                "mb": None if process.usedGpuMemory is None else round(process.usedGpuMemory / MB),
            }
            for process in found
        ]

    def _constant(self, name: str) -> Any:
        return getattr(self._nvml, name, None)

    def _ask(self, call: str, *args: Any) -> Any:
        function: Callable[..., Any] | None = getattr(self._nvml, call, None)
        if function is None or None in args:
            return None
        try:
            return function(*args)
        except self._nvml.NVMLError:
            return None


def _process_name(pid: int) -> str | None:
    """Name a process; not in a container, where the driver gives the numbers of the host."""
    if _namespace() != HOST_NAMESPACE:
        return None
    try:
        return psutil.Process(pid).name()
    except psutil.Error:
        return None


@cache
def _namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _text(value: Any) -> str | None:
    return value.decode() if isinstance(value, bytes) else value
