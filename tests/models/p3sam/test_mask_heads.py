from __future__ import annotations

import pytest
import torch

from backend.models.p3sam.config import P3SAM, HeadsConfig
from backend.models.p3sam.mask_heads import ROWS, MaskHeads
from tests.models.golden_files import part_tensors
from tests.models.p3sam.p3sam_golden import HEADS, config, heads

TOLERANCE = 1e-6  # the golden set allows 1e-5
HALF_TOLERANCE = 0.02
MACS_PER_PAIR = 1.251e6


@pytest.fixture(scope="module")
def given():
    return part_tensors(HEADS)


@pytest.fixture(scope="module")
def terms(given):
    return heads().point_terms(given["in.feats"], given["in.points"])


@pytest.mark.parametrize("iterations", [1, 2])
def test_masks_and_their_quality_are_the_published_ones(given, terms, iterations):
    logits, iou = heads()(terms, given["in.prompts"], iterations)
    for number in range(3):
        published = given[f"out.mask{number + 1}_prob_iter{iterations}"]
        assert (torch.sigmoid(logits[..., number]) - published).abs().max() < TOLERANCE
    assert (iou - given[f"out.iou_iter{iterations}"]).abs().max() < TOLERANCE


def test_a_prompt_does_not_depend_on_the_others(given, terms):
    prompts = given["in.prompts"]
    together, _ = heads()(terms, prompts)
    alone, _ = heads()(terms, prompts[3:4])
    assert (together[3] - alone[0]).abs().max() < TOLERANCE


def test_places_are_told_apart_that_half_weights_could_not_tell():
    half = MaskHeads(config()).to(torch.bfloat16)
    torch.nn.init.zeros_(half.features_in.weight)
    for layer in (half.points_in, half.prompts_in):
        layer.weight.data.copy_(torch.tensor([100.0, -100.0, 0.0]).expand_as(layer.weight))
    torch.nn.init.zeros_(half.prompts_in.bias)
    place = torch.tensor([[1.001, 1.0, 0.0]])
    assert (place[0, 0].to(torch.bfloat16) == 1).all()
    terms = half.point_terms(torch.zeros(1, config().feature_channels), place)
    for found in (terms.first, half.prompt_terms(place).first):
        assert found.float().mean() == pytest.approx(0.1, rel=0.01)


def test_half_weights_give_nearly_the_same(given, terms):
    half = MaskHeads(config()).to(torch.bfloat16)
    half.load_state_dict(heads().state_dict())
    logits, iou = half(half.point_terms(given["in.feats"], given["in.points"]), given["in.prompts"])
    published, expected = heads()(terms, given["in.prompts"])
    assert logits.dtype == iou.dtype == torch.float32
    assert (logits - published).abs().max() < HALF_TOLERANCE
    assert (iou - expected).abs().max() < HALF_TOLERANCE


def test_terms_do_not_depend_on_the_rows_they_are_made_in(given):
    many = 1 + ROWS // len(given["in.feats"])
    terms = heads().point_terms(
        given["in.feats"].repeat(many, 1), given["in.points"].repeat(many, 1)
    )
    once = heads().point_terms(given["in.feats"], given["in.points"])
    assert len(terms) > ROWS
    assert (terms.rows(slice(len(terms) - 300, None)).first - once.first).abs().max() < TOLERANCE


def test_the_heads_are_as_large_as_published():
    with torch.device("meta"):
        made = MaskHeads(P3SAM.heads)
    projection = 1232 * 512 + 512 + 2 * (512 * 512 + 512)
    assert sum(weight.numel() for weight in made.parameters()) == 4_267_273 - projection


def test_first_layers_of_points_are_not_computed_for_pairs():
    """Everything but the three layers that only points, or only prompts, go through."""
    with torch.device("meta"):
        made = MaskHeads(P3SAM.heads)
    once = ("features_in", "points_in", "prompts_in", "refined_context", "quality_context", "iou")
    per_pair = sum(
        weight.numel()
        for name, weight in made.named_parameters()
        if weight.ndim == 2 and not name.startswith(once)
    )
    assert per_pair == pytest.approx(MACS_PER_PAIR, rel=1e-3)


@pytest.mark.parametrize("missing", ["feat_dim", "hidden", "hidden2"])
def test_a_missing_size_is_named(missing):
    sizes = {"feat_dim": 16, "hidden": 24, "hidden2": 20}
    del sizes[missing]
    with pytest.raises(KeyError, match=missing):
        HeadsConfig.from_upstream(sizes)


def test_a_size_of_nothing_is_refused():
    with pytest.raises(ValueError, match="below 1"):
        HeadsConfig(width=0)
