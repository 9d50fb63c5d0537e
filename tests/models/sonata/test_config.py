from __future__ import annotations

import pytest

from backend.models.sonata.config import SONATA, SonataConfig
from tests.models.sonata.sonata_golden import config, params


def test_recorded_parameters_are_read():
    sizes = config()
    assert sizes.channels == (8, 16, 24, 32, 40)
    assert sizes.depths == (1, 1, 2, 5, 1)
    assert sizes.patches == (64,) * 5
    assert sizes.out_channels == 32


def test_the_width_behind_the_encoder_is_that_of_the_released_models_unless_given():
    assert SonataConfig.from_upstream(params()).out_channels == SONATA.out_channels == 512
    assert SonataConfig.from_upstream({**params(), "feat_dim": 7}).out_channels == 7
    assert SonataConfig.from_upstream({**params(), "feat_dim": 7}, 9).out_channels == 9


def test_the_perceptron_may_be_wider_inside():
    assert SonataConfig.from_upstream(params(), 9).joined_channels == 9
    assert SonataConfig.from_upstream({**params(), "feat_hidden": 24}, 9).joined_channels == 24


@pytest.mark.parametrize("missing", ["in_channels", "enc_channels", "enc_patch_size"])
def test_a_missing_size_is_named(missing):
    known = {name: value for name, value in params().items() if name != missing}
    with pytest.raises(KeyError, match=missing):
        SonataConfig.from_upstream(known)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("order", ["z", "hilbert"]),
        ("stride", [2, 2, 4, 2]),
        ("enable_rpe", True),
        ("qkv_bias", False),
        ("enc_num_head", [1, 2, 3, 5, 5]),
        ("enc_depths", [1, 1]),
        ("enc_patch_size", [64, 64, 0, 64, 64]),
        ("enc_channels", []),
    ],
)
def test_what_makes_no_network_is_refused(name, value):
    with pytest.raises(ValueError, match=r"released|multiple|levels|patches"):
        SonataConfig.from_upstream({**params(), name: value})
