from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from backend.models.hunyuan3d_paint import paint_weights
from backend.models.hunyuan3d_paint.paint_config import PaintConfig, PaintKind
from backend.models.hunyuan3d_paint.paint_savings import ALL_SAVINGS, NO_SAVINGS
from backend.models.hunyuan3d_paint.paint_unet import PaintUnet
from backend.models.hunyuan3d_paint.unet_config import UnetConfig
from backend.models.hunyuan3d_paint.view_inputs import GuidanceRow, ViewInputs
from tests.models.hunyuan3d_paint.paint_golden import drawn
from tests.models.hunyuan3d_paint.stable_diffusion import PARAMS
from tests.models.hunyuan3d_paint.written_out import colour_block

CONFIG = PaintConfig(PaintKind.COLOUR, UnetConfig.from_upstream(PARAMS), 5, camera_rows=49)
VIEWS, SIDE = 3, 8
MIDDLE = "unet.mid_block.attentions.0.transformer_blocks.0"


@pytest.fixture(scope="module")
def state():
    return drawn(paint_weights.upstream_shapes(CONFIG))


@pytest.fixture(scope="module")
def network(state):
    with torch.device("meta"):
        module = PaintUnet(CONFIG)
    module.load_state_dict(paint_weights.fold(state, CONFIG), strict=True, assign=True)
    return module.requires_grad_(False)


def views(network, count=VIEWS):
    generator = torch.Generator().manual_seed(5)
    normals, positions = torch.randn(2, count, 4, SIDE, SIDE, generator=generator)
    reference = {
        one.name: torch.randn(1, 2 * (SIDE >> one.level) ** 2, one.width, generator=generator)
        for one in network.layout.transformers
    }
    return ViewInputs(normals, positions, reference, cameras=torch.arange(count) + 12)


def answered(network, row, savings=ALL_SAVINGS, given=None):
    given = given or views(network)
    latents = torch.randn(
        len(given.normals), 4, SIDE, SIDE, generator=torch.Generator().manual_seed(6)
    )
    return network(latents, torch.tensor([741.0]), network.prepare(given, row, savings))


@pytest.mark.parametrize("row", [GuidanceRow.BLANK, GuidanceRow.FULL])
@pytest.mark.parametrize("savings", [ALL_SAVINGS, NO_SAVINGS], ids=["savings", "plain"])
@pytest.mark.parametrize("count", [1, VIEWS])
def test_a_block_does_what_the_paper_says(network, state, row, savings, count):
    block, one = network.middle.transformers[0].block, network.layout.middle.transformers[0]
    given = views(network)
    tokens = torch.randn(count, 9, one.width, generator=torch.Generator().manual_seed(7))
    number = network.layout.transformers.index(one)
    found = block(tokens, network.prepare(given, row, savings).sights[number])
    is_full = row is GuidanceRow.FULL
    text = state["unet.learned_text_clip_gen"][0]
    wanted = colour_block(
        state,
        MIDDLE,
        tokens,
        given.reference[one.name][0] if is_full else None,
        text if is_full else torch.zeros_like(text),
        one.heads,
    )
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("row", [GuidanceRow.BLANK, GuidanceRow.FULL])
def test_savings_change_nothing(network, row):
    found, plain = (answered(network, row, savings) for savings in (ALL_SAVINGS, NO_SAVINGS))
    torch.testing.assert_close(found, plain, rtol=1e-5, atol=1e-5)


def test_a_blank_text_is_not_looked_at_unless_asked_for(network):
    saved = network.prepare(views(network), GuidanceRow.BLANK)
    assert {sight.text for sight in saved.sights} == {None}
    plain = network.prepare(
        views(network), GuidanceRow.BLANK, replace(ALL_SAVINGS, no_blank_text=False)
    )
    assert all(sight.text.values.abs().max() == 0 for sight in plain.sights)


def test_the_camera_counts_and_comes_after_the_rows_of_the_reference(network, state):
    given = views(network)
    before = answered(network, GuidanceRow.FULL, given=given)
    turned = replace(given, cameras=given.cameras + 1)
    assert not torch.allclose(before, answered(network, GuidanceRow.FULL, given=turned), atol=1e-4)
    table = state["unet.class_embedding.weight"]
    found = network.prepare(given, GuidanceRow.FULL).cameras
    assert torch.equal(found, table[given.cameras + 5])


@pytest.mark.parametrize(
    ("row", "change", "named"),
    [
        (GuidanceRow.REFERENCE, {}, "PBR"),
        (GuidanceRow.FULL, {"cameras": None}, "cameras"),
        (GuidanceRow.FULL, {"dino": torch.zeros(1, 2, 3)}, "dino"),
    ],
)
def test_what_does_not_fit_the_network_is_refused(network, row, change, named):
    with pytest.raises(ValueError, match=named):
        network.prepare(replace(views(network), **change), row)
