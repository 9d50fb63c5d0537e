from __future__ import annotations

import pytest
import torch

from backend.errors import WeightsDamaged
from backend.models.checkpoints import finite_check
from backend.models.checkpoints.checkpoint import Component
from backend.models.checkpoints.finite_check import check_finite
from backend.models.checkpoints.part_description import p3sam_checkpoint
from backend.models.checkpoints.tensor_check import TensorDefect, refuse_findings
from backend.models.checkpoints.verify import verify
from tests.models.checkpoints.tiny_part_checkpoints import DEAD, write_tiny_p3sam


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_what_is_no_number_is_found_wherever_it_is(dtype, monkeypatch):
    monkeypatch.setattr(finite_check, "NUMBERS_AT_ONCE", 4)
    tensors = {name: torch.ones(3, 3, dtype=dtype) for name in ("good", "nan", "infinite")}
    tensors["nan"][2, 2] = tensors["nan"][0, 0] = float("nan")
    tensors["infinite"][1, 1] = -float("inf")
    found = list(check_finite(Component.SEGMENTER, tensors))
    assert [(each.name, each.detail) for each in found] == [
        ("segmenter.nan", "2 of 9 numbers"), ("segmenter.infinite", "1 of 9 numbers"),
    ]  # fmt: skip
    assert {each.defect for each in found} == {TensorDefect.NOT_FINITE}


def test_whole_numbers_and_empty_tensors_are_no_defects():
    tensors = {"count": torch.zeros((), dtype=torch.int64), "none": torch.ones(0)}
    assert list(check_finite(Component.SEGMENTER, tensors)) == []


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_types_that_are_not_loaded_are_left_to_the_check_of_types(dtype):
    assert list(check_finite(Component.SEGMENTER, {"a": torch.ones(3).to(dtype)})) == []


def test_such_weights_are_called_damaged(tmp_path):
    found = list(check_finite(Component.SEGMENTER, {"weight": torch.tensor([float("nan")])}))
    with pytest.raises(WeightsDamaged, match="not finite: 1 of 1 numbers"):
        refuse_findings(found, tmp_path / "p3sam.safetensors")


def test_verify_finds_them_among_the_tensors_that_are_read(tmp_path):
    def spoil(state):
        for name in (next(iter(state)), *DEAD["p3sam"]):
            state[name].flatten()[0] = float("nan")

    result = verify(p3sam_checkpoint(write_tiny_p3sam(tmp_path, change_state=spoil)))
    (finding,) = result.findings
    assert finding.defect is TensorDefect.NOT_FINITE
    assert finding.name not in DEAD["p3sam"]
    assert not result.is_good
