from __future__ import annotations

import pytest

from backend.models.sonata.config import SONATA
from backend.models.sonata.sonata_weights import LEFT_OUT, fold, origins, upstream_shapes
from tests.models.sonata.sonata_golden import config, published


def test_published_names_and_shapes_are_known_exactly():
    shapes = {name: tensor.shape for name, tensor in published().items() if name not in LEFT_OUT}
    assert upstream_shapes(config()) == shapes
    assert set(LEFT_OUT) <= set(published())


def test_the_full_size_has_the_published_count_of_names():
    names = set(upstream_shapes(SONATA)) | set(LEFT_OUT)
    assert sum(name.startswith("sonata.") for name in names) == 453
    assert sum(name.startswith("mlp.") for name in names) == 6


@pytest.mark.parametrize(
    "missing", ["sonata.enc.enc3.block4.cpe.0.weight", "sonata.enc.enc1.down.norm.0.bias"]
)
def test_a_missing_weight_is_named(missing):
    state = published()
    del state[missing]
    with pytest.raises(KeyError, match=missing):
        fold(state, config())


def test_nothing_is_copied():
    own = {tensor.data_ptr() for tensor in published().values()}
    assert {tensor.data_ptr() for tensor in fold(published(), config()).values()} < own


def test_prefixes_stand_before_all_names():
    for one in origins(config(), "features.", "seg_feat_encoder."):
        assert one.name.startswith(("features.sonata.", "features.mlp."))
        for name in one.published:
            assert name.startswith(("seg_feat_encoder.sonata.", "seg_feat_encoder.mlp."))
