from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from backend.models.attention import plain_attention
from backend.models.xpart import point_set_encoder
from backend.models.xpart.point_set_config import PointSetConfig
from backend.models.xpart.point_set_encoder import PointSetEncoder, chosen_points, surface_order
from tests.models.xpart import encoder_golden
from tests.models.xpart.encoder_golden import FULL_ENCODER, encoder_config, of_vae


@pytest.fixture(scope="module")
def encoder():
    return encoder_golden.encoder()


def chosen():
    return chosen_points(of_vae()["in.surface"], of_vae()["in.randperm"], encoder_config())


def test_tokens_begin_at_the_recorded_points():
    recorded = of_vae()["in.randperm"][of_vae()["mid.fps_index_into_input_pc"]]
    assert torch.equal(chosen(), recorded)


def test_a_surface_becomes_the_recorded_tokens(encoder):
    tokens = encoder(of_vae()["in.surface"], chosen())
    assert torch.allclose(tokens, of_vae()["out.encode_shape"], rtol=0, atol=2e-5)


def test_a_surface_is_described_alike_alone_and_among_others(encoder):
    surfaces, together = of_vae()["in.surface"], encoder(of_vae()["in.surface"], chosen())
    alone = [encoder(surfaces[n : n + 1], chosen()[n : n + 1]) for n in range(len(surfaces))]
    assert torch.allclose(torch.cat(alone), together, rtol=0, atol=1e-5)


def test_the_order_of_points_does_not_matter(encoder):
    surfaces = of_vae()["in.surface"]
    shuffled = surface_order(3, surfaces.shape[1])
    back = shuffled.argsort()
    moved = encoder(surfaces[:, shuffled], back[chosen()])
    assert torch.allclose(moved, encoder(surfaces, chosen()), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 0.01), (torch.bfloat16, 0.1)])
def test_half_precision_comes_close(dtype, tolerance):
    tokens = encoder_golden.encoder(dtype)(of_vae()["in.surface"], chosen())
    assert tokens.dtype == dtype
    off = (tokens.float() - of_vae()["out.encode_shape"]).abs()
    assert 0 < float(off.max()) < tolerance


def test_rounded_places_are_refused(encoder):
    with pytest.raises(ValueError, match="float32"):
        encoder(of_vae()["in.surface"].half(), chosen())


def test_only_a_part_of_a_large_surface_is_considered():
    config = PointSetConfig.from_upstream(
        {"num_latents": 4, "width": 8, "heads": 1, "num_encoder_layers": 1, "downsample_ratio": 5}
    )
    surfaces = torch.rand(2, 100, 7, generator=torch.Generator().manual_seed(0))
    order = surface_order(1, 100)
    found = chosen_points(surfaces, order, config)
    assert found.shape == (2, 4)
    assert set(found.flatten().tolist()) <= set(order[:20].tolist())
    assert found[:, 0].tolist() == [order[0]] * 2


def test_of_a_large_surface_only_a_part_is_looked_at(encoder):
    """As the recorded encoder did: the features it looked at lie in the order that was drawn."""
    recorded, order = of_vae(), of_vae()["in.randperm"]
    surfaces = recorded["in.surface"]
    more = torch.cat([surfaces, 2 * surfaces[:, :50]], dim=1)
    longer = torch.cat([order, torch.arange(320, 370)])
    own = chosen_points(more, longer, encoder.config)
    assert torch.equal(own, chosen())
    tokens = encoder(more, own, longer)
    assert torch.allclose(tokens, recorded["out.encode_shape"], rtol=0, atol=2e-5)
    assert not torch.allclose(encoder(more, own), tokens, rtol=0, atol=1e-3)


def test_the_same_seed_gives_the_same_order():
    assert torch.equal(surface_order(5, 50), surface_order(5, 50))
    assert not torch.equal(surface_order(5, 50), surface_order(6, 50))


def test_every_attention_goes_through_what_was_given():
    seen = []

    def watched(q, k, v, scale=None):
        seen.append((q.shape[2], k.shape[2]))
        return plain_attention(q, k, v, scale)

    encoder_golden.encoder(attend=watched)(of_vae()["in.surface"], chosen())
    assert seen == [(16, 320), (16, 16), (16, 16)]


def test_tokens_look_at_the_surface_a_few_at_a_time(monkeypatch):
    seen = []

    def watched(q, k, v, scale=None):
        seen.append(q.shape[2] * k.shape[2] * q.shape[0] * q.shape[1])
        return plain_attention(q, k, v, scale)

    monkeypatch.setattr(point_set_encoder, "MOST_SCORES", 20_000)
    tokens = encoder_golden.encoder(attend=watched)(of_vae()["in.surface"], chosen())
    assert torch.allclose(tokens, of_vae()["out.encode_shape"], rtol=0, atol=2e-5)
    assert len(seen) == 16 // 4 + 2
    assert max(seen) <= 20_000


def test_the_released_encoder_computes_as_much_as_is_described():
    """1.59 TMAC of linears and attention for one surface."""
    with torch.device("meta"):
        network = PointSetEncoder(FULL_ENCODER)
        surface, own = torch.zeros(1, 81_920, 7), torch.zeros(1, 4096, dtype=torch.int64)
        with FlopCounterMode(display=False) as counted:
            network(surface, own)
    assert sum(each.numel() for each in network.parameters()) == 113_402_112
    assert counted.get_total_flops() / 2 == pytest.approx(1.59e12, rel=0.01)


@pytest.mark.parametrize("name", ["num_latents", "width", "heads", "num_encoder_layers"])
def test_a_missing_size_is_named(name):
    params = encoder_golden.vae_params()
    del params[name]
    with pytest.raises(KeyError, match=name):
        PointSetConfig.from_upstream(params)


@pytest.mark.parametrize("wrong", [{"heads": 5}, {"heads": 0}, {"num_latents": 0}])
def test_what_makes_no_network_is_refused(wrong):
    with pytest.raises(ValueError, match=r"heads|tokens"):
        PointSetConfig.from_upstream({**encoder_golden.vae_params(), **wrong})


def test_latents_and_places_become_the_recorded_answers():
    """The decoder is that of whole shapes."""
    vae, recorded = encoder_golden.vae(), of_vae()
    tokens = vae.transformer(recorded["in.latents"])
    assert torch.allclose(tokens, recorded["out.decoded"], rtol=0, atol=2e-5)
    answers = vae(recorded["in.latents"], recorded["in.queries"])
    assert torch.allclose(answers, recorded["out.logits"], rtol=0, atol=2e-5)
