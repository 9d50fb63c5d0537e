from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from backend.engines.field_calls import Box
from backend.engines.implicit_decode import decode_grid
from backend.models.hunyuan3d.geo_decoder import field_of, fourier_features
from backend.models.hunyuan3d.savings import ALL_SAVINGS
from tests.models.hunyuan3d.vae_golden import NAMES, RELEASED, geo_keys, golden, vae

BOX = Box((-1.01,) * 3, (1.01,) * 3)


@pytest.mark.parametrize("name", NAMES)
def test_features_and_answers_are_those_of_the_original(name):
    points = golden(name, "in.queries")
    features = fourier_features(points, 8, include_pi=False)
    assert torch.allclose(features, golden(name, "mid.fourier"), rtol=0, atol=1e-6)
    answers = vae(name).geo_decoder(points, geo_keys(name))
    assert torch.allclose(answers, golden(name, "out.logits")[..., 0], rtol=0, atol=2e-5)


def test_frequencies_may_be_multiples_of_pi():
    x = torch.tensor([[0.3, -0.2, 0.9]])
    found = fourier_features(x, 2, include_pi=True)[0].tolist()
    angles = [math.pi * factor * each for each in (0.3, -0.2, 0.9) for factor in (1, 2)]
    wanted = [0.3, -0.2, 0.9, *map(math.sin, angles), *map(math.cos, angles)]
    assert found == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_places_are_told_apart_that_half_precision_would_round_to_one(dtype):
    decoder = vae(RELEASED, dtype).geo_decoder
    seen = []
    hook = decoder.points_in.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    points = golden(RELEASED, "in.queries")
    decoder.embedded(points)
    hook.remove()
    wanted = golden(RELEASED, "mid.fourier").to(dtype)
    assert seen[0].dtype == dtype
    assert torch.allclose(seen[0].float(), wanted.float(), rtol=0, atol=1e-6)
    rounded = fourier_features(points.to(dtype).float(), 8, include_pi=False).to(dtype)
    assert float((rounded.float() - wanted.float()).abs().max()) > 0.02


def test_points_that_were_rounded_are_refused():
    points = golden(RELEASED, "in.queries").half()
    with pytest.raises(ValueError, match="float32"):
        vae(RELEASED).geo_decoder(points, geo_keys(RELEASED))


@pytest.mark.parametrize("name", NAMES)
def test_keys_once_per_shape_answer_as_keys_per_call(name):
    decoder, tokens = vae(name).geo_decoder, golden(name, "mid.latents")
    runs = []
    hook = decoder.kv.register_forward_hook(lambda *_: runs.append(1))
    answers, keys_made = {}, {}
    for is_on in (True, False):
        runs.clear()
        ask = field_of(decoder, tokens, replace(ALL_SAVINGS, grid_keys=is_on))
        points = golden(name, "in.queries")[0]
        answers[is_on] = torch.cat([ask(part) for part in points.split(8)])
        keys_made[is_on] = len(runs)
    hook.remove()
    assert torch.equal(answers[True], answers[False])
    assert keys_made == {True: 1, False: 5}


def test_a_compiler_sees_one_graph():
    torch._dynamo.reset()
    decoder = vae(RELEASED).geo_decoder
    compiled = torch.compile(decoder, fullgraph=True, backend="eager")
    points, keys = golden(RELEASED, "in.queries"), geo_keys(RELEASED)
    assert torch.equal(compiled(points, keys), decoder(points, keys))
    torch._dynamo.reset()


@pytest.mark.parametrize("band", [0.0, 0.95])
@pytest.mark.parametrize("name", NAMES)
def test_coarse_to_fine_asks_for_the_values_of_a_dense_decode(name, band):
    ask = field_of(vae(name).geo_decoder, golden(name, "mid.latents"))
    found = decode_grid(ask, 32, BOX, coarsest_cells=8, band=band, chunk_points=4096)
    dense = golden(name, "out.vanilla32")[0]
    off = (found.values - dense)[found.is_asked].abs()
    assert float(off.max()) < 5e-4
    inside = dense > 0
    is_sure = dense.abs() > 5e-4
    assert torch.equal(
        (found.values > 0)[found.is_asked & is_sure], inside[found.is_asked & is_sure]
    )
