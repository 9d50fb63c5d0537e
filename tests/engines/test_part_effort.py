from __future__ import annotations

from backend.catalog import PartSolver, Preset
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
    assert "25 euler steps instead of 50" in draft.notice


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
    asked = effort_for(CompletionWishes(steps=50, cells=256), on_gpu=False)
    assert asked == PartEffort()
