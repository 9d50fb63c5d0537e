from __future__ import annotations

import subprocess
import sys

import pytest

from backend.gpu import telemetry
from backend.gpu.nvml import NvmlDevices
from tests.gpu.scripted_nvml import ScriptedNvml


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


@pytest.mark.parametrize(
    "source",
    [
        NvmlDevices(ScriptedNvml()),
        NvmlDevices(ScriptedNvml(*ScriptedNvml()._answers)),
        telemetry.HostOnly("there is none"),
        telemetry.TorchAllocator(),
    ],
    ids=["nvml", "nvml that fails in every call", "host only", "torch, not in use"],
)
def test_every_source_keeps_the_contract(source):
    assert isinstance(source.backend, str)
    devices = source.sample()
    assert (source.probe() is None) == bool(devices)
    assert {"driver", "cuda"} <= set(source.static())
    assert all({"index", "name", "uuid", "vram_total_mb"} <= set(device) for device in devices)


def test_the_allocator_adds_what_is_ours_to_the_readings_of_the_driver(monkeypatch):
    allocator = telemetry.TorchAllocator()
    ours = {"vram_used_by_us_mb": {"allocated": 5, "reserved": 6, "peak": 7}, "uuid": "GPU-b"}
    monkeypatch.setattr(allocator, "sample", lambda: [ours | {"fragmentation_pct": 1.0}])
    other, device = allocator.add_to(
        [{"vram_used_mb": 50, "uuid": "GPU-a"}, {"vram_used_mb": 100, "uuid": "GPU-b"}]
    )
    assert "vram_used_by_us_mb" not in other
    assert device["vram_used_by_others_mb"] == 94
    assert device["vram_used_by_us_mb"]["reserved"] == 6
    assert allocator.add_to([]) == []


def test_a_worker_sees_its_own_card_only(monkeypatch):
    monkeypatch.setattr(telemetry, "_nvml", lambda: (NvmlDevices(ScriptedNvml()), None))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-1")
    assert len(telemetry.device_status()["devices"]) == 1
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert not telemetry.has_cuda_device()
