from __future__ import annotations

import pytest
import torch

from backend.models.sonata.config import SONATA
from backend.models.xpart import part_conditioner_weights, point_set_weights
from backend.models.xpart.nearest_points import nearest_points
from backend.models.xpart.part_conditioner import PartConditioner, PartConditionerConfig
from backend.models.xpart.point_set_encoder import chosen_points
from tests.models import golden_files
from tests.models.xpart import encoder_golden
from tests.models.xpart.encoder_golden import FULL_ENCODER, conditioner, of_conditioner


@pytest.fixture(scope="module")
def features():
    recorded = of_conditioner()
    return conditioner().point_features(
        recorded["in.sonata_selected_feat"],
        recorded["in.sonata_selected_grid_coord"],
        recorded["in.sonata_inverse"],
        recorded["in.sonata_order_perms"],
    )


@pytest.fixture(scope="module")
def parts():
    """Surfaces, where their tokens begin, and what of the object is nearest."""
    recorded = of_conditioner()
    surfaces = recorded["in.part_surface"]
    config = conditioner().config.part_encoder
    chosen = chosen_points(surfaces, recorded["in.geo_randperm"], config)
    places = surfaces[..., :3].gather(1, chosen[..., None].expand(-1, -1, 3))
    return surfaces, chosen, nearest_points(places, recorded["in.object_surface"][0, :, :3])


def test_the_object_becomes_the_recorded_context(features):
    recorded = of_conditioner()
    surface = recorded["in.object_surface"]
    config = conditioner().config.object_encoder
    chosen = chosen_points(surface, recorded["in.obj_randperm"], config)
    context = conditioner().object_context(surface, chosen, features)
    assert features.dtype == torch.float32
    for of_part in recorded["out.obj_cond"]:
        assert torch.allclose(context[0], of_part, rtol=0, atol=2e-5)


def test_parts_become_the_recorded_contexts(features, parts):
    surfaces, chosen, nearest = parts
    context = conditioner().part_context(surfaces, chosen, features, nearest)
    assert torch.allclose(context, of_conditioner()["out.geo_cond"], rtol=0, atol=2e-5)


def test_parts_do_not_change_each_other(features, parts):
    surfaces, chosen, nearest = parts
    alone = conditioner().part_context(surfaces[1:], chosen[1:], features, nearest[1:])
    assert torch.allclose(alone[0], of_conditioner()["out.geo_cond"][1], rtol=0, atol=2e-5)


def test_features_stay_exact_beside_half_precision(features, parts):
    surfaces, chosen, nearest = parts
    network = encoder_golden.built(
        PartConditioner,
        encoder_golden.conditioner_config(),
        part_conditioner_weights.fold,
        golden_files.part_weights(encoder_golden.CONDITIONER),
    )
    for each in (network.part_encoder, network.part_out):
        each.bfloat16()
    context = network.part_context(surfaces, chosen, features, nearest)
    assert context.dtype == torch.bfloat16
    off = (context.float() - of_conditioner()["out.geo_cond"]).abs()
    assert 0 < float(off.max()) < 0.1


def full_size():
    return PartConditionerConfig(FULL_ENCODER, FULL_ENCODER, SONATA, 1024, 1024)


def test_the_released_conditioner_has_the_described_size():
    with torch.device("meta"):
        network = PartConditioner(full_size())
    counted = sum(each.numel() for each in network.parameters())
    encoders, projections = 2 * 113_402_112, 2 * (1536 * 1024 + 1024)
    features = sum(each.numel() for each in network.features.parameters())
    assert counted == encoders + projections + features
    assert features == pytest.approx(109.6e6, rel=0.002)
    # 142 of each encoder, what tells which points belong together, and both projections
    shapes = part_conditioner_weights.upstream_shapes(full_size())
    assert len(shapes) == 2 * 142 + (453 - 1) + 6 + 4


def test_each_published_tensor_is_taken_or_known_to_be_of_no_use():
    published = golden_files.part_weights(encoder_golden.CONDITIONER)
    wanted = part_conditioner_weights.upstream_shapes(encoder_golden.conditioner_config())
    assert {name: each.shape for name, each in published.items() if name in wanted} == wanted
    rest = published.keys() - wanted.keys()
    assert all(name.startswith(part_conditioner_weights.LEFT_OUT_PREFIXES) for name in rest)
    assert not any(name.startswith(part_conditioner_weights.LEFT_OUT_PREFIXES) for name in wanted)


def test_a_missing_tensor_is_named():
    published = golden_files.part_weights(encoder_golden.VAE)
    name = "encoder.self_attn.resblocks.1.attn.c_qkv.weight"
    del published[name]
    with pytest.raises(KeyError, match=name):
        point_set_weights.fold(published, encoder_golden.encoder_config())


@pytest.mark.parametrize("name", ["vae_config", "sonata_config", "feat_dim", "obj_dim", "geo_dim"])
def test_a_missing_size_is_named(name):
    params = encoder_golden.conditioner_params()
    del params[name]
    with pytest.raises(KeyError, match=name):
        PartConditionerConfig.from_upstream(params)
