"""A driver that answers from a script, for tests; names in ``broken`` raise."""

# ruff: noqa: N815  the names are those of nvidia-ml-py

from __future__ import annotations

from types import SimpleNamespace

GB = 1 << 30


class ScriptedNvmlError(Exception):
    pass


class ScriptedNvml:
    """One card, or several; every call may be made to fail as NotSupported or GpuIsLost."""

    NVMLError = ScriptedNvmlError
    NVML_CLOCK_SM = NVML_TEMPERATURE_GPU = NVML_TEMPERATURE_THRESHOLD_SLOWDOWN = 0
    NVML_CLOCK_MEM = NVML_PCIE_UTIL_RX_BYTES = 1
    NVML_PCIE_UTIL_TX_BYTES = NVML_MEMORY_ERROR_TYPE_UNCORRECTED = NVML_VOLATILE_ECC = 0
    nvmlClocksEventReasonSwPowerCap = nvmlClocksThrottleReasonSwPowerCap = 0x4
    nvmlClocksEventReasonSwThermalSlowdown = nvmlClocksThrottleReasonSwThermalSlowdown = 0x20

    def __init__(self, *broken: str, used_gb: float = 8.0, **answers: object) -> None:
        self.broken = set(broken)
        self.asked: list[str] = []
        self._answers = {
            "nvmlSystemGetDriverVersion": b"570.1",
            "nvmlSystemGetCudaDriverVersion": 13010,
            "nvmlDeviceGetCount": 1,
            "nvmlDeviceGetHandleByIndex": "handle",
            "nvmlDeviceGetCudaComputeCapability": (8, 9),
            "nvmlDeviceGetUUID": "GPU-1",
            "nvmlDeviceGetName": b"Scripted Card",
            "nvmlDeviceGetMemoryInfo": SimpleNamespace(
                total=24 * GB, used=int(used_gb * GB), free=int((24 - used_gb) * GB)
            ),
            "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=0, memory=12),
            "nvmlDeviceGetPowerUsage": 61_440,
            "nvmlDeviceGetEnforcedPowerLimit": 450_000,
            "nvmlDeviceGetTotalEnergyConsumption": 5_000_000,
            "nvmlDeviceGetClockInfo": 2520,
            "nvmlDeviceGetMaxClockInfo": 3105,
            "nvmlDeviceGetTemperature": 51,
            "nvmlDeviceGetTemperatureThreshold": 90,
            "nvmlDeviceGetFanSpeed": 30,
            "nvmlDeviceGetPerformanceState": 2,
            "nvmlDeviceGetCurrentClocksEventReasons": 0x24 | 0x1,
            "nvmlDeviceGetCurrPcieLinkGeneration": 4,
            "nvmlDeviceGetMaxPcieLinkGeneration": 4,
            "nvmlDeviceGetCurrPcieLinkWidth": 8,
            "nvmlDeviceGetMaxPcieLinkWidth": 16,
            "nvmlDeviceGetPcieThroughput": 2048,
            "nvmlDeviceGetTotalEccErrors": 0,
            "nvmlDeviceGetComputeRunningProcesses": [
                SimpleNamespace(pid=1, usedGpuMemory=2 * GB),
                SimpleNamespace(pid=2**22 + 1, usedGpuMemory=None),
            ],
        } | answers

    def __getattr__(self, name):
        if name.startswith("_") or name not in self._answers:
            raise AttributeError(name)

        def call(*_args):
            self.asked.append(name)
            if name in self.broken:
                raise ScriptedNvmlError(name)
            return self._answers[name]

        return call
