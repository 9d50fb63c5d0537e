from __future__ import annotations

import pytest

from backend.models.xpart.denoiser_config import X_PART, PartDenoiserConfig, key_bytes
from tests.models.xpart.part_golden import params

PUBLISHED = {
    "in_channels": 64,
    "hidden_size": 2048,
    "num_heads": 16,
    "depth": 21,
    "encoder_hidden_dim": 1024,
    "encoder_hidden2_dim": 1024,
}


def test_what_is_absent_is_as_in_the_released_model():
    assert PartDenoiserConfig.from_upstream(PUBLISHED) == X_PART
    assert (X_PART.tokens, X_PART.part_rows) == (1024, 50)


def test_every_size_is_read():
    sizes = PartDenoiserConfig.from_upstream(params())
    assert (sizes.trunk.context_channels, sizes.part_context_channels) == (24, 20)
    assert sizes.for_part_context.context_channels == 20
    assert (sizes.tokens, sizes.part_rows, sizes.trunk.latent_channels) == (12, 6, 8)
    assert (sizes.trunk.depth, sizes.trunk.expert_blocks, sizes.trunk.experts) == (7, 3, 4)


@pytest.mark.parametrize("missing", PUBLISHED)
def test_a_missing_size_is_named(missing):
    with pytest.raises(KeyError, match=missing):
        PartDenoiserConfig.from_upstream({k: v for k, v in PUBLISHED.items() if k != missing})


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("use_bbox_cond", True, "use_bbox_cond is True"),
        ("use_pos_emb", True, "use_pos_emb is True"),
        ("use_cross_attention_2", False, "use_cross_attention_2 is False"),
        ("use_part_embed", False, "use_part_embed is False"),
        ("valid_num", 0, "part_rows is 0"),
        ("input_size", 0, "tokens is 0"),
        ("encoder_hidden2_dim", 0, "part_context_channels is 0"),
        ("num_heads", 7, "no multiple of 7 heads"),
    ],
)
def test_what_makes_no_network_is_refused(name, value, said):
    with pytest.raises(ValueError, match=said):
        PartDenoiserConfig.from_upstream({**PUBLISHED, name: value})


def test_kept_keys_take_what_was_reckoned_for_the_published_size():
    """0.66 GiB per context in 16 bit; the object's is there once, however many parts there are."""
    of_all_blocks = [X_PART.trunk.depth * key_bytes(X_PART, parts, 2) for parts in (1, 2)]
    assert of_all_blocks[0] / 2**30 == pytest.approx(1.31, abs=5e-3)
    assert of_all_blocks[1] / of_all_blocks[0] == pytest.approx(1.5)
