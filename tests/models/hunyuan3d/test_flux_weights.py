from __future__ import annotations

import pytest
import torch

from backend.models.hunyuan3d.flux_config import HUNYUAN3D_20_GUIDED
from backend.models.hunyuan3d.flux_weights import fold, upstream_shapes
from tests.models.hunyuan3d.flux_golden import GUIDED, NAMES, PLAIN, config, published

EVERY_NETWORK = pytest.mark.parametrize("name", NAMES)


@EVERY_NETWORK
def test_shapes_are_exactly_those_that_are_published(name):
    shapes = {key: value.shape for key, value in published(name).items()}
    assert upstream_shapes(config(name)) == shapes


def test_shapes_of_the_full_size_are_known_without_its_memory():
    shapes = upstream_shapes(HUNYUAN3D_20_GUIDED)
    assert sum(shape.numel() for shape in shapes.values()) == 1_114_587_200
    assert shapes["single_blocks.31.linear1.weight"] == torch.Size([7168, 1024])


@EVERY_NETWORK
def test_every_missing_tensor_is_named(name):
    state = published(name)
    for key in state:
        with pytest.raises(KeyError) as error:
            fold({other: state[other] for other in state if other != key}, config(name))
        assert error.value.args == (key,)


def test_tensors_are_passed_on_without_a_copy():
    state = published(PLAIN)
    addresses = sorted(tensor.data_ptr() for tensor in state.values())
    folded = fold(state, config(PLAIN))
    assert sorted(tensor.data_ptr() for tensor in folded.values()) == addresses


def test_tensors_that_do_not_belong_are_left_out_and_can_be_told():
    state = published(GUIDED)
    assert fold(state, config(PLAIN)).keys() == fold(published(PLAIN), config(PLAIN)).keys()
    unexpected = state.keys() - upstream_shapes(config(PLAIN)).keys()
    layers = ("in_layer", "out_layer")
    assert unexpected == {
        f"guidance_in.{one}.{kind}" for one in layers for kind in ("weight", "bias")
    }
