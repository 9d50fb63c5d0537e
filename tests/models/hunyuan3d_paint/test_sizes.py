"""Weights and work of the networks that paint at their published sizes, without any numbers."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch

from backend.gpu.work_counter import WorkCounter
from backend.models.hunyuan3d_paint import (
    paint_weights,
    reference_weights,
    text_unet_weights,
    vae_weights,
)
from backend.models.hunyuan3d_paint.paint_config import PAINT_20, PAINT_21
from backend.models.hunyuan3d_paint.paint_savings import ALL_SAVINGS
from backend.models.hunyuan3d_paint.paint_unet import PaintUnet
from backend.models.hunyuan3d_paint.picture_vae_config import STABLE_DIFFUSION_21_VAE
from backend.models.hunyuan3d_paint.reference_unet import ReferenceUnet
from backend.models.hunyuan3d_paint.unet_config import STABLE_DIFFUSION_21
from backend.models.hunyuan3d_paint.unet_layout import UnetLayout
from backend.models.hunyuan3d_paint.view_inputs import GuidanceRow, ViewInputs

SIDE, VIEWS, TEXT, TEXT_WIDTH, DINO = 64, 6, 77, 1024, 4 * 257
TERA = 1e12
EACH = replace(ALL_SAVINGS, kept_keys=False)
LAYOUT = UnetLayout(STABLE_DIFFUSION_21)


def weights(shapes):
    return sum(shape.numel() for shape in shapes.values())


@cache
def on_meta(kind, config):
    with torch.device("meta"):
        return kind(config).requires_grad_(False)


def work(call):
    """Count operations, two for a product and a sum, in 10^12."""
    with torch.device("meta"), WorkCounter() as counter:
        call()
    return counter.flop / TERA


@pytest.mark.parametrize(
    ("config", "tensors", "known"),
    [(PAINT_20, 1535, 1_831_213_064), (PAINT_21, 1747, 1_962_246_472)],
)
def test_files_have_the_weights_that_are_published(config, tensors, known):
    main, seen = paint_weights.upstream_shapes(config), reference_weights.upstream_shapes(config)
    assert weights(main | seen) == known
    assert len(main | seen) == tensors
    text = weights({"": seen["unet.learned_text_clip_ref"]})
    assert weights(seen) - text == 865_910_724
    assert weights(
        {name: one.shape for name, one in on_meta(PaintUnet, config).named_parameters()}
    ) == weights(main)


def test_the_other_networks_have_the_weights_that_are_published():
    delight = replace(STABLE_DIFFUSION_21, in_channels=8)
    assert weights(text_unet_weights.upstream_shapes(delight)) == 865_922_244
    assert weights(vae_weights.upstream_shapes(STABLE_DIFFUSION_21_VAE)) == 83_653_863


def views(config):
    """All that a network is given, for six views of 512 pixels."""
    is_pbr = len(config.materials) > 1
    with torch.device("meta"):
        maps = torch.zeros(VIEWS, 4, SIDE, SIDE)
        sides = [SIDE >> level for level in range(4)]
        return ViewInputs(
            normals=maps,
            positions=maps,
            reference={
                one.name: torch.zeros(1, tokens(one), one.width) for one in LAYOUT.transformers
            },
            cameras=None if is_pbr else torch.zeros(VIEWS, dtype=torch.int64),
            dino=torch.zeros(1, 257, config.dino_width) if is_pbr else None,
            voxels=tuple(
                torch.zeros(VIEWS * side * side, 3, dtype=torch.int64) for side in sides if is_pbr
            ),
        )


def tokens(one):
    return (SIDE >> one.level) ** 2


def row_work(network, row):
    config = network.config
    with torch.device("meta"):
        prepared = network.prepare(views(config), row, EACH)
        latents = torch.zeros(len(config.materials) * VIEWS, 4, SIDE, SIDE)
        return work(lambda: network(latents, torch.zeros(1), prepared))


def repeated(count, width):
    """Work of keys and values for so many tokens of a width, in all blocks."""
    return sum(4 * count * width * one.width for one in LAYOUT.transformers) / TERA


def seen_again():
    """Work of the keys and values of the reference."""
    return sum(4 * tokens(one) * one.width**2 for one in LAYOUT.transformers) / TERA


def test_a_call_for_colour_is_the_work_that_is_known():
    """The original computes keys of the text and of the reference for every view anew."""
    network, others = on_meta(PaintUnet, PAINT_20), VIEWS - 1
    full = row_work(network, GuidanceRow.FULL)
    anew = others * (repeated(TEXT, TEXT_WIDTH) + seen_again())
    assert round(full + anew, 2) == 10.59
    # without guidance the known figure has the queries and the output of the text, which add
    # nothing to its bias
    ends = sum(4 * VIEWS * tokens(one) * one.width**2 for one in LAYOUT.transformers) / TERA
    assert round(row_work(network, GuidanceRow.BLANK) + ends, 2) == 9.50


def test_a_call_for_pbr_is_the_work_that_is_known():
    """Here, keys are computed once for all views, and both materials ask the reference."""
    network, images = on_meta(PaintUnet, PAINT_21), 2 * VIEWS
    text_anew = (images - 2) * repeated(TEXT, TEXT_WIDTH)
    dino_anew = (images - 1) * repeated(DINO, TEXT_WIDTH)
    asked_twice = (
        sum(2 * VIEWS * tokens(one) ** 2 * one.width for one in LAYOUT.transformers) / TERA
    )
    full = row_work(network, GuidanceRow.FULL)
    assert round(full + text_anew + dino_anew - asked_twice, 2) == 21.97


def test_looking_at_the_reference_is_the_work_that_is_known():
    network = on_meta(ReferenceUnet, PAINT_20)
    with torch.device("meta"):
        latents = torch.zeros(1, 4, SIDE, SIDE)
    one = LAYOUT.transformers[-1]
    own = 32 * tokens(one) * one.width**2 + 4 * tokens(one) ** 2 * one.width
    text = 4 * TEXT * one.width * (TEXT_WIDTH + tokens(one)) + 4 * tokens(one) * one.width**2
    end = 2 * tokens(one) * one.width * (one.width + 4 * 9)
    assert work(lambda: network(latents)) + (own + text + end) / TERA == pytest.approx(
        0.80426, abs=2e-5
    )
