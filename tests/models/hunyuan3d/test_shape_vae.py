from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from backend.models.attention import plain_attention
from backend.models.hunyuan3d.shape_vae import ShapeVae
from backend.models.hunyuan3d.shape_vae_config import HUNYUAN3D_20_VAE, ShapeVaeConfig
from tests.models import golden_files
from tests.models.hunyuan3d import vae_golden
from tests.models.hunyuan3d.vae_golden import NAMES, golden, vae

PIPELINES = ("pipeline20", "pipeline20_turbo", "pipeline21")


@pytest.mark.parametrize("name", NAMES)
def test_tokens_and_answers_are_those_of_the_original(name):
    latents, points = golden(name, "in.z"), golden(name, "in.queries")
    tokens = vae(name).transformer(latents)
    assert torch.allclose(tokens, golden(name, "mid.latents"), rtol=0, atol=2e-5)
    answers = vae(name)(latents, points)
    assert answers.shape == points.shape[:2]
    assert torch.allclose(answers, golden(name, "out.logits")[..., 0], rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", PIPELINES)
def test_latents_of_a_denoiser_become_the_tokens_of_the_original(name):
    config = ShapeVaeConfig.from_upstream(golden_files.pipeline_config(name)["vae"]["params"])
    built = vae_golden.built(golden_files.tensors_under(name, "vae."), config)
    tokens = built.transformer(golden(name, "out.latents"))
    assert torch.allclose(tokens, golden(name, "mid.kv"), rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float16, 0.01), (torch.bfloat16, 0.08)], ids=str
)
@pytest.mark.parametrize("name", NAMES)
def test_half_precision_comes_close(name, dtype, tolerance):
    """Answers spread by 1.5: rounding of the weights alone, not of places."""
    answers = vae(name, dtype)(golden(name, "in.z"), golden(name, "in.queries"))
    assert answers.dtype == torch.float32
    off = (answers - golden(name, "out.logits")[..., 0]).abs()
    assert 0 < float(off.max()) < tolerance


def test_every_attention_goes_through_what_was_given():
    seen = []

    def watched(q, k, v, scale=None):
        seen.append((tuple(q.shape), tuple(k.shape)))
        return plain_attention(q, k, v, scale)

    name = vae_golden.TURBO_LIKE
    built = vae_golden.built(vae_golden.published(name), vae_golden.config(name), attend=watched)
    built(golden(name, "in.z"), golden(name, "in.queries"))
    assert seen == [((1, 4, 24, 16),) * 2] * 2 + [((1, 2, 40, 16), (1, 2, 24, 16))]


@pytest.fixture(scope="module")
def full_size():
    with torch.device("meta"):
        return ShapeVae(HUNYUAN3D_20_VAE)


def parameters(module):
    return sum(each.numel() for each in module.parameters())


def test_the_released_decoder_has_its_published_size(full_size):
    assert parameters(full_size) == 214_212_865
    assert parameters(full_size.transformer.latents_in) == 66_560
    assert parameters(full_size.transformer.blocks) == 201_494_528
    assert parameters(full_size.geo_decoder) == 12_651_777


def test_the_released_decoder_computes_as_much_as_is_published(full_size):
    tokens = torch.zeros(1, 3072, 1024, device="meta")
    with torch.device("meta"), FlopCounterMode(display=False) as of_block:
        full_size.transformer.blocks[0](tokens)
    of_entry = 2 * 3072 * 64 * 1024
    of_transformer = of_entry + len(full_size.transformer.blocks) * of_block.get_total_flops()
    assert of_transformer == pytest.approx(1.86e12, rel=0.005)
    keys = full_size.geo_decoder.keys(tokens)
    with torch.device("meta"), FlopCounterMode(display=False) as of_points:
        full_size.geo_decoder(torch.zeros(1, 1000, 3), keys)
    assert of_points.get_total_flops() / 1000 == pytest.approx(33.7e6, rel=0.005)
