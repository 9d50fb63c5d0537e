from __future__ import annotations

import importlib.util

import pytest

from backend.catalog import Preset
from backend.engines.model_readiness import NO_WEIGHTS
from backend.engines.paint_model_choice import (
    FEWER_STEPS,
    NO_DELIGHT_NEEDED,
    NO_DIFFUSERS,
    NO_GUIDANCE,
    NOT_DELIT,
    ON_PROCESSOR,
    SIX_VIEWS,
    effort_for,
    unavailable_reason,
)
from backend.engines.texture_task import TextureWishes
from backend.errors import EngineUnavailable, LicenceNotAccepted, WeightsMissing
from backend.settings import Settings
from tests.engines.tiny_paint import accept_all, look_in
from tests.models.tiny_paint_checkpoints import (
    TinyPaint,
    write_tiny_delight,
    write_tiny_paint,
    write_tiny_realesrgan,
)

COLOUR, TURBO, PBR = (each.value for each in (TinyPaint.COLOUR, TinyPaint.TURBO, TinyPaint.PBR))


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    root = tmp_path_factory.mktemp("everything")
    for each in TinyPaint:
        write_tiny_paint(root / "own", each)
    write_tiny_delight(root / "own")
    write_tiny_realesrgan(root / "own")
    return accept_all(root)


@pytest.fixture
def all_models(everything, monkeypatch):
    look_in(everything, monkeypatch)


def effort(*, on_gpu=True, **wishes):
    return effort_for(TextureWishes(**wishes), Settings.from_env(), on_gpu=on_gpu)


@pytest.mark.usefixtures("all_models")
def test_the_preset_chooses_model_and_sizes():
    draft, standard, high = (effort(preset=preset) for preset in Preset)
    assert [each.model.id for each in (draft, standard, high)] == [TURBO, PBR, PBR]
    assert [each.steps for each in (draft, standard, high)] == [10, 15, 15]
    assert [each.guidance for each in (draft, standard, high)] == [None, 3.0, 3.0]
    assert [each.view_px for each in (draft, standard, high)] == [512, 512, 768]
    assert [each.views for each in (draft, standard, high)] == [6, 6, 9]
    assert {each.notice for each in (draft, standard, high)} == {""}


@pytest.mark.usefixtures("all_models")
def test_each_version_gets_the_help_that_was_published_with_it():
    standard, draft = effort(), effort(preset=Preset.DRAFT)
    assert (standard.delight, standard.upscaler.id) == (None, "realesrgan-x4plus")
    assert (draft.delight.id, draft.upscaler) == ("hunyuan3d-delight-2.0", None)
    assert effort(upscale=False).upscaler is None
    assert effort(model=COLOUR, delight=False, upscale=True).delight is None
    assert effort(model=COLOUR, upscale=True).upscaler is not None


@pytest.mark.usefixtures("all_models")
def test_what_is_asked_for_counts():
    asked = effort(model=COLOUR, steps=7, guidance=0.0, view_px=640)
    assert (asked.model.id, asked.steps, asked.guidance, asked.view_px) == (COLOUR, 7, 0.0, 640)
    assert effort(views=8).views == 8


@pytest.mark.usefixtures("all_models")
def test_what_a_model_cannot_do_is_told():
    turbo = effort(model=TURBO, steps=50, guidance=4.0, views=9)
    assert (turbo.steps, turbo.guidance, turbo.views) == (30, None, 6)
    for notice in (NO_GUIDANCE, FEWER_STEPS, SIX_VIEWS):
        assert notice in turbo.notice
    assert effort(delight=True).notice == NO_DELIGHT_NEEDED


@pytest.mark.usefixtures("all_models")
def test_a_processor_makes_a_draft_and_says_so():
    there = effort(on_gpu=False, preset=Preset.HIGH)
    assert (there.model.id, there.view_px, there.views) == (TURBO, 512, 6)
    assert there.notice == ON_PROCESSOR
    assert effort(on_gpu=False, preset=Preset.DRAFT).notice == ""
    assert effort(on_gpu=False, model=PBR).model.id == PBR


def test_the_best_that_is_here_is_taken(tmp_path, monkeypatch):
    look_in(tmp_path, monkeypatch)
    assert unavailable_reason(Settings.from_env()) == NO_WEIGHTS
    with pytest.raises(EngineUnavailable):
        effort()
    write_tiny_paint(tmp_path / "own", TinyPaint.TURBO)
    assert "licence" in unavailable_reason(Settings.from_env())
    with pytest.raises(LicenceNotAccepted):
        effort(model=TURBO)
    accept_all(tmp_path)
    assert unavailable_reason(Settings.from_env()) is None
    here = effort(preset=Preset.HIGH)
    assert (here.model.id, here.view_px, here.delight) == (TURBO, 512, None)
    assert here.notice == NOT_DELIT
    for missing in ({"model": PBR}, {"delight": True}, {"upscale": True}):
        with pytest.raises(WeightsMissing):
            effort(**missing)
    with pytest.raises(EngineUnavailable, match="no textures"):
        effort(model="hunyuan3d-2.1")


@pytest.mark.usefixtures("all_models")
def test_without_diffusers_it_says_how_to_get_it(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "diffusers" else find(name)
    )
    assert unavailable_reason(Settings.from_env()) == NO_DIFFUSERS
