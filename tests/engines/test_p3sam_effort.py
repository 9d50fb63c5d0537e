from __future__ import annotations

import pytest

from backend.catalog import Preset
from backend.engines.p3sam_effort import SegmentationEffort, effort_for
from backend.engines.part_tasks import SegmentationWishes


@pytest.mark.parametrize(
    ("preset", "sizes", "said"),
    [
        (Preset.DRAFT, (20_000, 128), "A draft"),
        (Preset.STANDARD, (100_000, 400), ""),
        (Preset.HIGH, (200_000, 800), ""),
    ],
)
def test_a_gpu_takes_the_sizes_of_the_preset(preset, sizes, said):
    effort = effort_for(SegmentationWishes(preset), on_gpu=True)
    assert (effort.points, effort.prompts) == sizes
    assert effort.notice.startswith(said)
    assert bool(effort.notice) == bool(said)


@pytest.mark.parametrize("preset", [Preset.STANDARD, Preset.HIGH])
def test_a_processor_takes_those_of_a_draft_and_says_why(preset):
    effort = effort_for(SegmentationWishes(preset), on_gpu=False)
    assert (effort.points, effort.prompts) == (20_000, 128)
    assert "no GPU" in effort.notice
    tflop = {Preset.STANDARD: "100 TFLOP", Preset.HIGH: "401 TFLOP"}[preset]
    assert tflop in effort.notice


def test_who_asks_a_processor_for_a_draft_learns_that_it_is_one():
    notice = effort_for(SegmentationWishes(Preset.DRAFT), on_gpu=False).notice
    assert notice.startswith("A draft: 20,000 points and 128 prompts instead of 100,000 points")


@pytest.mark.parametrize("on_gpu", [True, False])
def test_what_is_asked_for_is_done_without_a_word(on_gpu):
    wishes = SegmentationWishes(
        Preset.DRAFT, points=50_000, prompts=60, threshold=0.8, post_process=False
    )
    assert effort_for(wishes, on_gpu=on_gpu) == SegmentationEffort(50_000, 60, 0.8, False)


def test_one_size_that_is_asked_for_stands_beside_the_other_of_the_draft():
    effort = effort_for(SegmentationWishes(prompts=300), on_gpu=False)
    assert (effort.points, effort.prompts) == (20_000, 300)
    assert "20,000 points" in effort.notice


@pytest.mark.parametrize("on_gpu", [True, False])
def test_a_draft_with_other_sizes_tells_those_that_were_taken(on_gpu):
    wishes = SegmentationWishes(Preset.DRAFT, points=50_000)
    assert "50,000 points and 128 prompts" in effort_for(wishes, on_gpu=on_gpu).notice
    wishes = SegmentationWishes(prompts=300)
    assert "20,000 points and 300 prompts" in effort_for(wishes, on_gpu=False).notice


def test_no_more_prompts_than_points():
    assert effort_for(SegmentationWishes(points=2_000, prompts=2_500), on_gpu=True).prompts == 2_000
