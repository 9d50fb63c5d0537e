from __future__ import annotations

import pytest
import torch

from tests.models.hunyuan3d_paint import paint_golden


@pytest.fixture(scope="module")
def dino():
    return paint_golden.network().dino


def test_tokens_are_those_of_the_original(dino):
    given = paint_golden.tensors()
    torch.testing.assert_close(dino(given["in.dino"]), given["dino_proj"][2:], rtol=0, atol=1e-5)


def test_a_description_of_zeros_has_four_different_tokens(dino):
    recorded = paint_golden.tensors()["dino_proj"][:1]
    blank = dino.blank()
    assert blank.shape[1] == 4
    repeated = blank.repeat(1, recorded.shape[1] // 4, 1)
    torch.testing.assert_close(repeated, recorded, rtol=0, atol=1e-6)
