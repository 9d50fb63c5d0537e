from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

from backend.gpu import telemetry
from backend.gpu.nvml import NvmlDevices


class ScriptedNvmlError(Exception):
    pass


class ScriptedNvml:
    """Answers like a driver with one card; names in ``broken`` raise."""

    NVMLError = ScriptedNvmlError
    NVML_CLOCK_SM = NVML_TEMPERATURE_GPU = 0

    def __init__(self, *broken: str) -> None:
        self._broken = broken
        self._answers = {
            "nvmlSystemGetDriverVersion": b"570.1",
            "nvmlSystemGetCudaDriverVersion": 13010,
            "nvmlDeviceGetCount": 1,
            "nvmlDeviceGetHandleByIndex": "handle",
            "nvmlDeviceGetCudaComputeCapability": (8, 9),
            "nvmlDeviceGetUUID": "GPU-1",
            "nvmlDeviceGetName": b"Scripted Card",
            "nvmlDeviceGetMemoryInfo": SimpleNamespace(
                total=24576 << 20, used=8192 << 20, free=16384 << 20
            ),
            "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=0, memory=12),
            "nvmlDeviceGetPowerUsage": 61_440,
            "nvmlDeviceGetEnforcedPowerLimit": 450_000,
            "nvmlDeviceGetClockInfo": 2520,
            "nvmlDeviceGetTemperature": 51,
            "nvmlDeviceGetFanSpeed": 30,
        }

    def __getattr__(self, name):
        if name.startswith("_") or name not in self._answers:
            raise AttributeError(name)

        def call(*_args):
            if name in self._broken:
                raise ScriptedNvmlError(name)
            return self._answers[name]

        return call


def test_readings_carry_units():
    source = NvmlDevices(ScriptedNvml())
    (device,) = source.devices()
    assert (source.driver, source.cuda) == ("570.1", "13.1")
    assert device["name"] == "Scripted Card"
    assert (device["vram_total_mb"], device["vram_used_mb"]) == (24576, 8192)
    assert (device["power_w"], device["power_limit_w"]) == (61.4, 450.0)
    assert device["compute_capability"] == "8.9"


def test_an_idle_card_reads_zero_and_an_unsupported_reading_none():
    assert NvmlDevices(ScriptedNvml()).devices()[0]["gpu_util_pct"] == 0
    broken = NvmlDevices(
        ScriptedNvml(
            "nvmlDeviceGetUtilizationRates", "nvmlDeviceGetMemoryInfo", "nvmlDeviceGetPowerUsage"
        )
    )
    (device,) = broken.devices()
    assert [device[k] for k in ("gpu_util_pct", "vram_used_mb", "power_w")] == [None] * 3
    assert device["temp_c"] == 51


def test_without_a_driver_the_reason_is_given(monkeypatch):
    monkeypatch.setattr(telemetry, "_nvml", lambda: (None, "no NVIDIA driver answers"))
    status = telemetry.device_status()
    assert not status["available"]
    assert status["backend"] == "psutil"
    assert status["reason_unavailable"] == "no NVIDIA driver answers"
    assert status["devices"] == []
    assert status["host"]["ram_total_mb"] > 100


def test_with_a_card_the_status_is_available(monkeypatch):
    monkeypatch.setattr(telemetry, "_nvml", lambda: (NvmlDevices(ScriptedNvml()), None))
    assert telemetry.device_status()["available"]
    assert telemetry.has_cuda_device()


@pytest.mark.parametrize("module", ["backend.gpu.telemetry", "backend.catalog"])
def test_importing_it_does_not_import_torch(module):
    code = f"import {module}, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
