"""Weights and work of the networks for parts at their published sizes, without any numbers."""

from __future__ import annotations

from functools import cache

import pytest
import torch

from backend.gpu.work_counter import WorkCounter
from backend.models.hunyuan3d import shape_vae_weights
from backend.models.hunyuan3d.shape_vae import ShapeVae
from backend.models.hunyuan3d.shape_vae_config import ShapeVaeConfig
from backend.models.p3sam import p3sam_weights
from backend.models.p3sam.config import P3SAM
from backend.models.p3sam.network import P3Sam
from backend.models.p3sam.prompt_masks import prompt_masks
from backend.models.xpart import (
    denoiser_weights,
    part_conditioner_weights,
    point_set_weights,
)
from backend.models.xpart.denoiser import FAST_WAY, PartDenoiser
from backend.models.xpart.denoiser_config import X_PART
from backend.models.xpart.part_block import Contexts
from backend.models.xpart.part_conditioner import PartConditioner, PartConditionerConfig
from backend.models.xpart.point_set_encoder import PointSetEncoder
from bench.parts.reference_heads import head_answers
from bench.parts.sizes import SIZES, Scale

FULL = SIZES[Scale.FULL]
VAE = ShapeVaeConfig.from_upstream(FULL.vae_params)
CONDITIONER = PartConditionerConfig.from_upstream(FULL.conditioner_params)
TERA, MEGA = 1e12, 1e6


@cache
def network(kind, config):
    with torch.device("meta"):
        return kind(config).requires_grad_(False)


def million(shapes):
    return sum(shape.numel() for shape in shapes) / MEGA


def weights(module):
    return [each.shape for each in module.parameters()]


def multiplications(call):
    """Count products, each with the sum that follows it, of a call on the meta device."""
    with torch.device("meta"), torch.no_grad(), WorkCounter() as counter:
        call()
    return counter.flop / 2


def test_the_sizes_of_the_bench_are_the_published_ones():
    found = P3SAM.from_upstream({**FULL.heads_params, "sonata": FULL.sonata_params})
    assert p3sam_weights.upstream_shapes(found) == p3sam_weights.upstream_shapes(P3SAM)
    assert X_PART.from_upstream(FULL.denoiser_params) == X_PART


@pytest.mark.parametrize(
    ("kind", "config", "shapes", "known", "names"),
    [
        # 453 + 60 names are published; the token of the training is no part of the network
        (P3Sam, P3SAM, p3sam_weights.upstream_shapes(P3SAM), 112.73, 512),
        (PartDenoiser, X_PART, denoiser_weights.upstream_shapes(X_PART), 3315.24, 942),
        # of 327.75 million the encoder has no use here, nor what lies between
        (ShapeVae, VAE, shape_vae_weights.upstream_shapes(VAE), 214.21, 266),
        # two encoders of 113.4 million, the encoder of points with its perceptron, two layers
        (
            PartConditioner,
            CONDITIONER,
            part_conditioner_weights.upstream_shapes(CONDITIONER),
            339.57,
            746,
        ),
    ],
)
def test_networks_have_the_weights_that_are_published_and_used(kind, config, shapes, known, names):
    assert len(shapes) == names
    assert round(million(shapes.values()), 2) == known
    assert round(million(weights(network(kind, config))), 2) == known


def test_what_is_left_out_of_a_published_decoder_is_its_encoder():
    encoder = point_set_weights.upstream_shapes(CONDITIONER.part_encoder)
    between = (torch.Size([2 * 64, 1024]), torch.Size([2 * 64]))
    decoder = shape_vae_weights.upstream_shapes(VAE)
    everything = (*encoder.values(), *between, *decoder.values())
    assert len(everything) == 410
    assert round(million(everything), 2) == 327.75


def test_the_heads_have_4_267_273_weights_with_what_joins_the_levels():
    shapes = p3sam_weights.upstream_shapes(P3SAM)
    heads = {name: shape for name, shape in shapes.items() if not name.startswith("sonata.")}
    assert len(heads) == 60
    assert sum(shape.numel() for shape in heads.values()) == 4_267_273


def step(parts, *, prepared):
    """Count a step of the denoiser, per part, in 10^12 products."""
    net = network(PartDenoiser, X_PART)
    with torch.device("meta"):
        whole = torch.zeros(1, FULL.context_tokens, 1024)
        own = torch.zeros(parts, FULL.context_tokens, 1024)
        latents, rows = torch.zeros(parts, 1024, 64), torch.zeros(parts, dtype=torch.int64)
        times = torch.zeros(parts)
    if prepared:
        kept = net.prepare(whole, own, times[:1], rows)
        return multiplications(lambda: net(latents, kept, 0)) / parts / TERA
    contexts = Contexts(whole.expand(parts, -1, -1), own)
    count = multiplications(lambda: net.velocity(latents, times, contexts, rows, FAST_WAY))
    return count / parts / TERA


def test_a_step_of_the_denoiser_is_the_work_that_is_known():
    linear, keys, cross, among_own, among_all = 1.943, 0.722, 0.722, 0.047, 0.043
    one, two = step(1, prepared=False), step(2, prepared=False)
    assert one == pytest.approx(linear + keys + cross + among_own + among_all, abs=0.002)
    assert two - one == pytest.approx(among_all, abs=0.0005)
    assert one - step(1, prepared=True) == pytest.approx(keys, abs=0.0025)
    ten = one + 9 * (two - one)
    assert round(50 * 10 * ten * 2 / 1000, 1) == 3.9
    assert round(49 * 10 * (ten - keys) * 2 / 1000, 1) == 3.1


def test_an_encoder_of_surfaces_is_the_work_that_is_known():
    net = network(PointSetEncoder, CONDITIONER.part_encoder)
    with torch.device("meta"):
        surface = torch.zeros(1, FULL.surface_points, 7)
        chosen = torch.zeros(1, FULL.context_tokens, dtype=torch.int64)
    assert round(multiplications(lambda: net(surface, chosen)) / TERA, 2) == 1.59


def test_the_decoder_of_parts_is_the_work_that_is_known():
    net = network(ShapeVae, VAE)
    with torch.device("meta"):
        latents, points = torch.zeros(1, 1024, 64), torch.zeros(1, 100, 3)
        keys = net.geo_decoder.keys(torch.zeros(1, 1024, 1024))
    assert round(multiplications(lambda: net.transformer(latents)) / TERA, 2) == 0.24
    per_point = multiplications(lambda: net.geo_decoder(points, keys)) / points.shape[1]
    assert round(per_point / MEGA, 1) == 12.6


def test_heads_save_more_than_half_of_the_work_of_the_published_way():
    heads, points, prompts = network(P3Sam, P3SAM).heads, 4096, 2
    with torch.device("meta"):
        features, places = torch.zeros(points, 512), torch.zeros(points, 3)
        asked = torch.zeros(prompts, 3)
        terms = heads.point_terms(features, places)
        state = {
            name: torch.zeros(shape)
            for name, shape in p3sam_weights.upstream_shapes(P3SAM).items()
            if not name.startswith("sonata.")
        }
    plain = multiplications(lambda: head_answers(state, features, places, asked))
    ours = multiplications(lambda: prompt_masks(heads, terms, asked))
    pairs = points * prompts * MEGA
    assert plain / pairs == pytest.approx(2.972, abs=0.001)
    assert ours / pairs == pytest.approx(1.251, abs=0.01)
