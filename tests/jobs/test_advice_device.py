from __future__ import annotations

from dataclasses import replace

import pytest

from backend.jobs.evidence_device import device_peaks, gpu_samples
from backend.jobs.evidence_profiles import allocator_figures, cache_clearing_figures
from backend.jobs.gpu_samples import DeviceHistory, DeviceKind, Moment, SampledDevice, rows_of
from backend.profiling.advice.advice import AdviceKind
from backend.profiling.advice.evidence import Evidence
from backend.profiling.advice.ranking import recommend
from backend.profiling.advice.rule_id import RuleId
from backend.profiling.spans import NS, ProfileStatus, Span, SpanKind
from backend.units import MB
from tests.profiling.made_runs import made_profile

CARD = SampledDevice("GPU-a", "NVIDIA GeForce RTX 4090", DeviceKind.GPU)
DEVICE = {
    "uuid": "GPU-a",
    "name": CARD.name,
    "vram_total_mb": 24564,
    "vram_used_by_others_mb": 300,
    "sm_clock_mhz": 2000,
    "sm_clock_max_mhz": 2520,
    "throttle": {"active": []},
    "pcie": {"gen": 3, "gen_max": 4, "width": 8, "width_max": 16},
}


def read(job="j", card=CARD, **fields):
    [(_, row)] = rows_of({"devices": [DEVICE | fields]}, Moment(0.0, 1.0, job, "shape"))
    return row


def history(rows, card=CARD):
    return DeviceHistory(card, rows, [])


HOT = [read(throttle={"active": ["thermal", "power_cap"]}, sm_clock_mhz=1500)] * 3 + [read()] * 7


def test_a_card_that_holds_its_clock_down_is_told_at_once():
    figures = gpu_samples([history(HOT)], [DEVICE])
    assert figures.busy_samples == 10
    assert figures.throttled == pytest.approx({"thermal": 0.3, "power_cap": 0.3})
    assert (figures.clock_mhz, figures.clock_max_mhz) == (pytest.approx(1850), 2000)
    [advice] = recommend(Evidence(gpu=figures))
    assert (advice.rule, advice.kind) == (RuleId.THROTTLED, AdviceKind.WARNING)


def test_what_a_card_does_while_idle_is_no_evidence():
    idle = [read(job=None, throttle={"active": ["thermal"]})] * 20
    assert gpu_samples([history(idle)], [DEVICE]) is None
    assert gpu_samples([history([*idle, read()])], [DEVICE]).throttled == {}
    assert gpu_samples([], [DEVICE]) is None


def test_readings_without_a_word_on_the_clock_do_not_dilute_it():
    silent = [read(throttle={"active": None}, sm_clock_mhz=None)] * 10
    figures = gpu_samples([history([*HOT, *silent])], [])
    assert figures.throttled["thermal"] == pytest.approx(0.3)
    assert figures.clock_mhz == pytest.approx(1850)
    assert gpu_samples([history(silent)], []).clock_mhz is None


def test_link_and_memory_are_those_of_the_card_that_works():
    other = replace(CARD, key="GPU-b")
    figures = gpu_samples([history([], other), history([read()])], [{"uuid": "GPU-b"}, DEVICE])
    assert (figures.pcie_gen, figures.pcie_gen_max, figures.pcie_width_max) == (3, 4, 16)
    assert (figures.others_mb, figures.total_mb) == (300, 24564)
    assert gpu_samples([history([read()])], []).pcie_gen is None


def test_a_machine_without_a_card_has_no_samples():
    host = SampledDevice("host:h", "h", DeviceKind.HOST)
    assert gpu_samples([history([[0.0, 5.0, 1, 2, 3.0, "j", "s"]], host)], []) is None


def test_peaks_are_looked_up_for_the_card_of_the_runs():
    peaks = device_peaks([DEVICE], CARD.name)
    assert peaks.flop_per_s["bf16"] == pytest.approx(165.2e12)
    assert peaks.bytes_per_s == pytest.approx(1008e9)
    assert device_peaks([DEVICE], None) is None
    assert device_peaks([], "a card of tomorrow") is None


def profile(allocator=None, clearing_s=None):
    made = made_profile({"shape": 10.0})
    made.allocator = allocator
    if clearing_s is not None:
        start = made.start_ns
        made.spans.append(
            Span(9, 1, "clear_cache", SpanKind.GPU, 7, start, start + round(clearing_s * NS))
        )
    return made


def test_failures_of_the_allocator_add_up_and_its_levels_are_the_newest():
    newest = {"alloc_retries": 1, "out_of_memory": 0, "inactive_split_bytes": 30,
              "reserved_bytes": 100}  # fmt: skip
    older = {"alloc_retries": 2, "out_of_memory": None, "inactive_split_bytes": 1,
             "reserved_bytes": 90}  # fmt: skip
    figures = allocator_figures([profile(newest), profile(), profile(older)], 24000.0)
    assert (figures.n, figures.alloc_retries, figures.out_of_memory) == (2, 3, 0)
    assert (figures.inactive_split_bytes, figures.reserved_bytes) == (30, 100)
    assert (figures.peak_bytes, figures.total_bytes) == (None, 24000 * MB)
    assert recommend(Evidence(allocator=figures))[0].rule is RuleId.FRAGMENTED
    assert allocator_figures([profile()], 24000.0) is None


def test_clearing_is_spread_over_all_runs():
    figures = cache_clearing_figures([profile(clearing_s=0.6), profile(clearing_s=0.2), profile()])
    assert (figures.n, figures.clearing_s) == (3, pytest.approx(0.8 / 3))
    assert cache_clearing_figures([profile(), profile()]) is None
    failed = profile(clearing_s=9.0)
    failed.status = ProfileStatus.FAILED
    assert cache_clearing_figures([failed]) is None
