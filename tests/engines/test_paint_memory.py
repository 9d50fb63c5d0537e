"""What is promised, counted at full size on tensors without memory of their own."""

from __future__ import annotations

import pytest
import torch

from backend.engines.paint_memory import (
    PaintWork,
    decode_bytes,
    encode_bytes,
    unet_bytes,
    upscale_bytes,
)
from backend.models.hunyuan3d_paint.paint_config import PAINT_20, PAINT_21, PaintKind
from backend.models.hunyuan3d_paint.paint_unet import PaintUnet
from backend.models.hunyuan3d_paint.picture_vae import PictureVae
from backend.models.hunyuan3d_paint.picture_vae_config import STABLE_DIFFUSION_21_VAE
from backend.models.hunyuan3d_paint.reference_unet import ReferenceUnet
from backend.models.hunyuan3d_paint.unet_layout import UnetLayout
from backend.models.hunyuan3d_paint.view_inputs import GuidanceRow, ViewInputs
from backend.models.upscaling.rrdb import RrdbNet
from backend.models.upscaling.rrdb_config import RrdbConfig
from tests.engines.test_segmentation_memory import LiveBytes

LIMIT_BYTES = 10 * 10**9
HALF = torch.float16
FULL_SIZE = PaintWork(PAINT_21, views=9, references=4, latent_px=96, item_bytes=2)


def attend(q, k, v, scale=None):
    """Stand for attention that keeps no table of its weights."""
    return q.new_empty((*q.shape[:-1], v.shape[-1]))


def weights_of(network):
    return sum(one.nbytes for one in network.parameters())


def given(work):
    """Make what is known of the object, at full size."""
    unet, side, is_pbr = work.config.unet, work.latent_px, work.config.kind is PaintKind.PBR
    maps = torch.zeros(work.views, 4, side, side, dtype=HALF)
    seen = {
        one.name: torch.zeros(1, work.references * (side >> one.level) ** 2, one.width, dtype=HALF)
        for one in UnetLayout(unet).transformers
    }
    pbr = {
        "dino": torch.zeros(1, 257, work.config.dino_width, dtype=HALF),
        "voxels": tuple(
            torch.zeros(work.views * (side >> level) ** 2, 3, dtype=torch.int64)
            for level in range(len(unet.widths))
        ),
    }
    colour = {"cameras": torch.zeros(work.views, dtype=torch.int64)}
    return ViewInputs(maps, maps, seen, **(pbr if is_pbr else colour))


@pytest.mark.parametrize(
    "work", [PaintWork(PAINT_20, 6, 1, 64, 2), FULL_SIZE], ids=["2.0, 512 px", "2.1, 768 px"]
)
def test_painting_takes_no_more_than_is_promised_and_not_much_less(work):
    plan = work.plan(LIMIT_BYTES)
    with torch.device("meta"), torch.inference_mode():
        network = PaintUnet(work.config, attend).half()
        images = work.views * len(work.config.materials)
        latents = torch.zeros(images, 4, work.latent_px, work.latent_px, dtype=HALF)
        with LiveBytes(network) as taken:
            views = given(work)
            rows = [network.prepare(views, row) for row in (GuidanceRow.BLANK, GuidanceRow.FULL)]
            network(latents, torch.zeros(1), rows[1])
    assert plan.keeps_keys
    assert 0.6 * plan.extra_bytes < taken.most <= plan.extra_bytes
    assert weights_of(network) + plan.extra_bytes <= LIMIT_BYTES


def test_the_networks_that_help_take_no_more_than_is_promised():
    vae, upscaler = STABLE_DIFFUSION_21_VAE, RrdbConfig()
    promised = {
        ReferenceUnet: unet_bytes(PAINT_21.unet, 4, 96, 2),
        "encode": encode_bytes(vae, 768, 2),
        "decode": decode_bytes(vae, 768, 2),
        RrdbNet: upscale_bytes(upscaler, 768, 2),
    }
    taken = {}
    with torch.device("meta"), torch.inference_mode():
        reference = ReferenceUnet(PAINT_21, attend).half()
        autoencoder, enlarger = PictureVae(vae).half(), RrdbNet(upscaler).half()
        calls = {
            ReferenceUnet: (reference, reference, (4, 4, 96, 96)),
            "encode": (autoencoder, autoencoder.encode, (1, 3, 768, 768)),
            "decode": (autoencoder, autoencoder.decode_one, (4, 96, 96)),
            RrdbNet: (enlarger, enlarger, (1, 3, 768, 768)),
        }
        for name, (network, call, shape) in calls.items():
            with LiveBytes(network) as live:
                call(torch.zeros(shape, dtype=HALF))
            taken[name] = live.most
            assert weights_of(network) + promised[name] <= LIMIT_BYTES
    for name, most in taken.items():
        assert 0.5 * promised[name] < most <= promised[name], name


def test_keys_are_kept_only_where_there_is_room():
    most = FULL_SIZE.plan(LIMIT_BYTES)
    assert FULL_SIZE.plan(most.extra_bytes).keeps_keys
    fewer = FULL_SIZE.plan(most.extra_bytes - 1)
    assert not fewer.keeps_keys
    assert fewer.extra_bytes == most.extra_bytes - FULL_SIZE.key_bytes
    assert FULL_SIZE.plan(0) == fewer
