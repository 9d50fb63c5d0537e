from __future__ import annotations

import json

import pytest
import torch

from backend.models.p3sam.config import P3SAM, P3SamConfig
from backend.models.p3sam.network import P3Sam
from backend.models.p3sam.p3sam_weights import fold, upstream_shapes
from tests.models.golden_files import part_metadata, part_tensors, part_weights

SONATA_KEYS, HEAD_KEYS, LEFT_OUT_KEYS = 453, 60, 1
PARAMETERS = 112.73e6


def test_a_checkpoint_of_full_size_fills_the_network():
    shapes = upstream_shapes(P3SAM)
    state = {name: torch.zeros(shape, device="meta") for name, shape in shapes.items()}
    with torch.device("meta"):
        network = P3Sam(P3SAM)
    network.load_state_dict(fold(state, P3SAM), strict=True, assign=True)
    assert len(shapes) == SONATA_KEYS + HEAD_KEYS - LEFT_OUT_KEYS
    parameters = sum(weight.numel() for weight in network.parameters())
    assert parameters == sum(shape.numel() for shape in shapes.values())
    assert parameters == pytest.approx(PARAMETERS, rel=1e-4)


def test_sizes_are_read_from_the_published_description():
    params = {
        "sonata": json.loads(part_metadata("sonata_tiny")["config"]),
        "feat_dim": 32,
        "hidden": 24,
        "hidden2": 20,
    }
    config = P3SamConfig.from_upstream(params)
    assert config.features.out_channels == config.heads.feature_channels == 32
    shapes = upstream_shapes(config)
    recorded = {
        name: weight.shape
        for name, weight in part_weights("sonata_tiny").items()
        if "mask_token" not in name
    }
    assert recorded.items() <= shapes.items()


def test_published_heads_have_these_names_and_shapes():
    params = {
        "sonata": json.loads(part_metadata("sonata_tiny")["config"]),
        **json.loads(part_metadata("p3sam_heads_tiny")["config"]),
    }
    shapes = upstream_shapes(P3SamConfig.from_upstream(params))
    recorded = {name: tensor.shape for name, tensor in part_weights("p3sam_heads_tiny").items()}
    assert recorded.items() <= shapes.items()
    assert len(part_tensors("p3sam_heads_tiny")) > len(recorded)


def test_a_missing_tensor_is_named():
    shapes = upstream_shapes(P3SAM)
    state = {name: torch.zeros(shape, device="meta") for name, shape in shapes.items()}
    del state["seg_s2_mlp_g.0.weight"]
    with pytest.raises(KeyError, match="seg_s2_mlp_g"):
        fold(state, P3SAM)


def test_features_that_the_heads_do_not_take_are_refused():
    with pytest.raises(ValueError, match="heads take 16"):
        P3SamConfig(P3SAM.features, type(P3SAM.heads)(feature_channels=16))
