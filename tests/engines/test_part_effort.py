from __future__ import annotations

import pytest

from backend.catalog import PartQuality, PartSolver, Preset
from backend.engines.part_effort import PartEffort, effort_for
from backend.engines.part_tasks import CompletionWishes


def on_gpu(preset=Preset.STANDARD, **wishes):
    return effort_for(CompletionWishes(preset, **wishes), on_gpu=True)


def test_presets_follow_the_published_way_but_for_the_draft():
    assert (on_gpu().steps, on_gpu().cells) == (50, 256)
    assert (on_gpu(Preset.HIGH).steps, on_gpu(Preset.HIGH).cells) == (50, 512)
    assert on_gpu().is_published
    assert on_gpu(Preset.HIGH).notice == on_gpu().notice == ""
    draft = on_gpu(Preset.DRAFT)
    assert (draft.steps, draft.cells, draft.is_published) == (25, 192, False)
    assert draft.notice.startswith("Lossy (quality fewer_steps):")
    assert "25 euler steps instead of 50" in draft.notice


@pytest.mark.parametrize(
    ("quality", "steps", "solver", "calls"),
    [
        (PartQuality.EXACT, 50, PartSolver.EULER, 49),
        (PartQuality.FEWER_STEPS, 25, PartSolver.EULER, 24),
        (PartQuality.SECOND_ORDER, 13, PartSolver.MIDPOINT, 24),
    ],
)
@pytest.mark.parametrize("preset", Preset)
def test_a_named_quality_counts_before_the_preset_and_only_exact_is_lossless(
    preset, quality, steps, solver, calls
):
    effort = on_gpu(preset, quality=quality)
    assert (effort.steps, effort.solver, effort.calls) == (steps, solver, calls)
    assert effort.quality is quality
    assert effort.is_published is (quality is PartQuality.EXACT)
    assert (f"Lossy (quality {quality})" in effort.notice) is not effort.is_published
    assert effort.cells == on_gpu(preset).cells


def test_steps_and_solver_that_are_asked_for_count_before_the_quality():
    effort = on_gpu(quality=PartQuality.SECOND_ORDER, steps=20)
    assert (effort.steps, effort.solver) == (20, PartSolver.MIDPOINT)
    assert effort.quality is None
    assert effort.notice.startswith("Lossy: parts differ")
    undone = on_gpu(quality=PartQuality.FEWER_STEPS, steps=50)
    assert undone.is_published
    assert undone.notice == ""


def test_what_is_asked_for_counts_and_is_said_to_be_another_way():
    effort = on_gpu(steps=20, solver=PartSolver.MIDPOINT, cells=128)
    assert (effort.steps, effort.solver, effort.cells) == (20, PartSolver.MIDPOINT, 128)
    assert effort.calls == 38
    assert "20 midpoint steps" in effort.notice


def test_a_processor_takes_the_sizes_of_a_draft_and_says_why():
    effort = effort_for(CompletionWishes(Preset.HIGH), on_gpu=False)
    assert (effort.steps, effort.cells) == (25, 192)
    assert "no GPU" in effort.notice
    assert "no GPU" not in effort_for(CompletionWishes(Preset.DRAFT), on_gpu=False).notice
    for asked in (CompletionWishes(steps=50, cells=256),
                  CompletionWishes(quality=PartQuality.EXACT, cells=256)):  # fmt: skip
        assert effort_for(asked, on_gpu=False) == PartEffort()
    half = effort_for(CompletionWishes(quality=PartQuality.EXACT), on_gpu=False)
    assert (half.steps, half.cells) == (50, 192)
    assert "no GPU" in half.notice
