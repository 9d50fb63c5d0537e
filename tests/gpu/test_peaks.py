from __future__ import annotations

import json

import pytest

from backend.gpu.peaks import TABLE, computed_tflops, peak_of

DOCUMENTED = [
    ("NVIDIA GeForce RTX 3090", "8.6", 82, 1695, 71.2),
    ("NVIDIA GeForce RTX 4090", "8.9", 128, 2520, 165.2),
    ("NVIDIA GeForce RTX 4090 D", "8.9", 114, 2520, 147.1),
    ("NVIDIA GeForce RTX 5090", "12.0", 170, 2407, 209.5),
    ("NVIDIA A10", "8.6", 72, 1695, 125.0),
    ("NVIDIA A100-SXM4-80GB", "8.0", 108, 1410, 311.9),
    ("NVIDIA H100 80GB HBM3", "9.0", 132, 1830, 989.4),
]


@pytest.mark.parametrize(("name", "capability", "sms", "mhz", "tflops"), DOCUMENTED)
def test_the_formula_gives_the_documented_peak(name, capability, sms, mhz, tflops):
    assert computed_tflops(name, capability, sms, mhz) == pytest.approx(tflops, rel=0.005)
    assert peak_of(name).tflops_fp16 == pytest.approx(tflops, rel=0.005)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("NVIDIA GeForce RTX 4090 D", "RTX 4090 D"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
        ("NVIDIA L4", "L4"),
        ("NVIDIA H200", "H200 SXM"),
        ("NVIDIA H100 PCIe", "H100 PCIe"),
    ],
)
def test_cards_are_told_apart_by_name(name, found):
    assert peak_of(name).name == found


def test_an_unknown_card_is_computed_and_says_so():
    assert peak_of("NVIDIA L40S") is None
    peak = peak_of("NVIDIA GeForce RTX 4080", "8.9", 76, 2505)
    assert peak.computed
    assert peak.tflops_fp16 == pytest.approx(97.5, rel=0.01)
    assert peak.ridge_flop_per_byte is None
    assert peak_of("NVIDIA Something", "7.0", 80, 1500) is None


@pytest.mark.parametrize(
    "name",
    [
        "NVIDIA GeForce RTX 4090 Laptop GPU", "NVIDIA GeForce RTX 3090 Ti", "NVIDIA GH200 480GB",
        "NVIDIA H100 NVL", "NVIDIA GeForce RTX 5090 D", "NVIDIA A100-SXM4-40GB",
        "NVIDIA A100-SXM4-80GB MIG 1g.10gb", "NVIDIA A10G",
    ],
)  # fmt: skip
def test_variants_do_not_get_the_figures_of_the_card_they_are_called_after(name):
    assert peak_of(name) is None


def test_ridge_and_clock():
    peak = peak_of("NVIDIA GeForce RTX 4090")
    assert round(peak.ridge_flop_per_byte) == 164
    assert peak.at_clock(1260).tflops_fp16 == pytest.approx(peak.tflops_fp16 / 2)


def test_every_card_tells_the_rates_of_every_type():
    peak = peak_of("NVIDIA GeForce RTX 4090")
    assert {dtype: round(rate / 1e12, 1) for dtype, rate in peak.flop_per_s.items()} == {
        "fp32": 82.6, "tf32": 82.6, "fp16": 165.2, "bf16": 165.2, "fp8": 330.3,
    }  # fmt: skip
    assert peak.bytes_per_s == 1.008e12
    assert peak.tflops_fp16_acc16 == 330.3
    assert "fp8" not in peak_of("NVIDIA GeForce RTX 3090").flop_per_s


def test_all_rates_follow_the_clock():
    peak = peak_of("NVIDIA H200")
    slow = peak.at_clock(peak.boost_mhz / 2)
    assert slow.flop_per_s == pytest.approx(
        {d: r / 2 for d, r in peak.flop_per_s.items()} | {"fp32": 132 * 256 * 915e6}, rel=0.001
    )
    assert slow.at_clock(1830).flop_per_s["bf16"] == pytest.approx(989.5e12)
    assert slow.bytes_per_s == peak.bytes_per_s


@pytest.mark.parametrize(
    ("name", "capability", "sms", "mhz"),
    [row[:4] for row in DOCUMENTED if "H100" not in row[0]]
    + [("NVIDIA L4", "8.9", 58, 2040), ("NVIDIA H100 PCIe", "9.0", 114, 1755)],
)
def test_the_formula_gives_the_documented_rate_without_tensor_cores(name, capability, sms, mhz):
    computed = computed_tflops(name, capability, sms, mhz, "fp32")
    assert computed == pytest.approx(peak_of(name).tflops_fp32, rel=0.005)


def test_the_table_holds_every_field_of_every_card():
    cards = json.loads(TABLE.read_text())["cards"]
    asked = {
        "match", "compute_capability", "sms", "boost_mhz", "vram_gb", "bandwidth_gb_s",
        "tflops_fp16", "tflops_fp16_acc16", "tflops_fp32", "tflops_fp8", "tdp_w", "source",
        "verified",
    }  # fmt: skip
    assert all(asked <= card.keys() for card in cards)
    assert len(cards) == 10
