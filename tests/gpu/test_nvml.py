from __future__ import annotations

import pytest

from backend.gpu.nvml import NvmlDevices
from tests.gpu.scripted_nvml import ScriptedNvml


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


def test_all_fields_of_a_card_that_answers():
    (device,) = NvmlDevices(ScriptedNvml()).sample(slow=True)
    assert device["throttle"] == {"active": ["power_cap", "thermal"]}
    assert device["pcie"] == {
        "gen": 4, "gen_max": 4, "width": 8, "width_max": 16, "rx_mb_s": 2.0, "tx_mb_s": 2.0,
    }  # fmt: skip
    assert (device["sm_clock_mhz"], device["sm_clock_max_mhz"]) == (2520, 3105)
    assert (device["energy_j_total"], device["pstate"]) == (5000.0, "P2")
    assert (device["temp_slowdown_c"], device["ecc_errors"]) == (90, 0)
    assert [process["mb"] for process in device["processes"]] == [2048, None]


def test_the_slow_call_is_made_only_when_asked_for():
    driver = ScriptedNvml()
    NvmlDevices(driver).sample()
    assert "nvmlDeviceGetPcieThroughput" not in driver.asked


def test_older_drivers_are_asked_by_the_older_name():
    driver = ScriptedNvml(
        "nvmlDeviceGetCurrentClocksEventReasons", nvmlDeviceGetCurrentClocksThrottleReasons=0x20
    )
    assert NvmlDevices(driver).sample()[0]["throttle"] == {"active": ["thermal"]}


@pytest.mark.parametrize("call", [name for name in ScriptedNvml()._answers if "Device" in name])
def test_any_single_failing_call_costs_only_its_own_field(call):
    broken = NvmlDevices(ScriptedNvml(call)).sample()
    whole = NvmlDevices(ScriptedNvml()).sample()
    if call == "nvmlDeviceGetCount":
        assert broken == []
    elif call == "nvmlDeviceGetHandleByIndex":
        assert {value for key, value in broken[0].items() if key != "index"} == {None}
    else:
        changed = [key for key in whole[0] if broken[0].get(key) != whole[0][key]]
        assert 0 < len(changed) <= 3 or call == "nvmlDeviceGetPcieThroughput"
