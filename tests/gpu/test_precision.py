from __future__ import annotations

import pytest
import torch

from backend.gpu.inference import inference_mode
from backend.gpu.precision import Precision, PrecisionRules, compare, torch_dtype

RULES = PrecisionRules({"decode": {Precision.FP16}, "exact": set()})


@pytest.mark.parametrize(
    ("stage", "wanted", "capability", "chosen"),
    [
        ("shape", "auto", (8, 9), "bf16"),
        ("shape", "auto", (7, 5), "fp16"),
        ("shape", "auto", (6, 1), "fp32"),
        ("shape", "auto", None, "fp32"),
        ("shape", "fp16", None, "fp32"),
        ("decode", "auto", (8, 9), "fp16"),
        ("decode", "bf16", (8, 9), "fp32"),
        ("exact", "fp16", (8, 9), "fp32"),
        ("shape", "bf16", (7, 5), "fp32"),
        ("shape", "fp32", (8, 9), "fp32"),
    ],
)
def test_the_choice_and_its_reason(stage, wanted, capability, chosen):
    choice = RULES.choose(stage, Precision(wanted), capability)
    assert choice.precision == chosen
    assert choice.reason


def test_names_of_torch():
    assert torch_dtype(Precision.BF16) is torch.bfloat16
    with pytest.raises(ValueError, match="resolved first"):
        torch_dtype(Precision.AUTO)


def test_differences_are_found():
    exact = torch.linspace(-1, 1, 100)
    same = compare(exact, exact)
    assert (same.max_abs, same.relative, same.finite) == (0, 0, True)
    assert same.cosine == pytest.approx(1)
    half = compare(exact, exact.to(torch.bfloat16))
    assert 0 < half.relative < 0.01
    broken = compare(exact, torch.full_like(exact, float("nan")))
    assert not broken.finite
    assert broken.max_abs == float("inf")
    assert not compare(torch.full_like(exact, float("nan")), exact).finite
    assert compare(torch.zeros(3), torch.zeros(3)).cosine == 1
    with pytest.raises(ValueError, match="shapes differ"):
        compare(torch.zeros(1), torch.zeros(3))


def test_inference_mode_works_without_a_gpu():
    layer = torch.nn.Linear(2, 2)
    with inference_mode("auto"):
        assert torch.is_inference_mode_enabled()
        assert layer(torch.ones(1, 2)).dtype is torch.float32
    assert not torch.is_inference_mode_enabled()
