from __future__ import annotations

from dataclasses import replace

import pytest

from backend.catalog import Preset, ShapeModel
from backend.engines.model_readiness import unready_reason, why_not
from backend.engines.shape_model_choice import (
    chosen_model,
    effort_for,
    unavailable_reason,
)
from backend.engines.shape_task import NetworkWishes
from backend.errors import EngineUnavailable, LicenceNotAccepted, UnknownModel, WeightsMissing
from backend.models.checkpoints.acceptance import Acceptances
from backend.models.checkpoints.catalogue import MODELS, ModelKind, model_of
from backend.settings import Settings
from backend.units import SystemClock
from tests.models.checkpoints.tiny_checkpoints import TinyFamily, write_tiny_repository

WISHES = NetworkWishes()


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """A server on which no model lies anywhere."""
    monkeypatch.setenv("HY3DGEN_MODELS", str(tmp_path / "authors"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    return Settings(data_dir=tmp_path / "data", model_path=str(tmp_path / "own"))


def put(tmp_path, *families):
    for family in families:
        write_tiny_repository(tmp_path / "own", family)


def accept(settings, model="hunyuan3d-2.0"):
    Acceptances(settings.data_dir / "models", SystemClock()).accept(model_of(model))


def test_people_can_choose_every_model_of_the_catalogue():
    usable = {m.id for m in MODELS if not m.unsupported and m.kind is ModelKind.SHAPE}
    assert usable == {one.value for one in ShapeModel} - {"auto"}


def test_without_weights_the_reason_says_where_to_look(settings):
    assert "models list" in unavailable_reason(settings)


def test_weights_alone_are_not_enough_until_their_licence_is_accepted(settings, tmp_path):
    put(tmp_path, TinyFamily.FLUX)
    assert "licence" in unavailable_reason(settings)
    assert isinstance(why_not(model_of("hunyuan3d-2.0"), settings), LicenceNotAccepted)
    accept(settings)
    assert unavailable_reason(settings) is None


def test_models_for_parts_make_no_shapes(settings, tmp_path):
    folder = tmp_path / "own" / "p3sam"
    folder.mkdir(parents=True)
    assert "no weights" in unready_reason("p3-sam", settings)
    (folder / "p3sam.safetensors").write_bytes(b"x")
    assert "licence" in unready_reason("p3-sam", settings)
    accept(settings, "p3-sam")
    assert unready_reason("p3-sam", settings) is None
    assert "no weights" in unavailable_reason(settings)
    with pytest.raises(EngineUnavailable, match="no shapes"):
        chosen_model(replace(WISHES, model="p3-sam"), 1, settings)


def test_draft_takes_the_distilled_model_and_standard_the_full_one(settings, tmp_path):
    put(tmp_path, TinyFamily.FLUX, TinyFamily.FLUX_TURBO)
    accept(settings)
    draft = chosen_model(replace(WISHES, preset=Preset.DRAFT), 1, settings)
    assert draft.id == "hunyuan3d-2.0-turbo"
    assert chosen_model(WISHES, 1, settings).id == "hunyuan3d-2.0"


def test_one_under_another_licence_is_passed_over_until_that_is_accepted(settings, tmp_path):
    put(tmp_path, TinyFamily.FLUX, TinyFamily.PLAIN)
    accept(settings)
    assert chosen_model(WISHES, 1, settings).id == "hunyuan3d-2.0"
    accept(settings, "hunyuan3d-2.1")
    assert chosen_model(WISHES, 1, settings).id == "hunyuan3d-2.1"


def test_a_model_that_was_asked_for_is_taken_or_refused_never_replaced(settings, tmp_path):
    put(tmp_path, TinyFamily.FLUX)
    with pytest.raises(LicenceNotAccepted):
        chosen_model(replace(WISHES, model="hunyuan3d-2.0"), 1, settings)
    accept(settings)
    assert chosen_model(replace(WISHES, model="hunyuan3d-2.0"), 1, settings).id == "hunyuan3d-2.0"
    with pytest.raises(WeightsMissing):
        chosen_model(replace(WISHES, model="hunyuan3d-2mini"), 1, settings)
    with pytest.raises(UnknownModel):
        chosen_model(replace(WISHES, model="hunyuan3d-9"), 1, settings)


def test_a_model_of_one_picture_is_refused_several_only_if_it_was_asked_for(settings, tmp_path):
    put(tmp_path, TinyFamily.FLUX)
    accept(settings)
    assert chosen_model(WISHES, 2, settings).id == "hunyuan3d-2.0"
    with pytest.raises(EngineUnavailable, match="takes 1 picture"):
        chosen_model(replace(WISHES, model="hunyuan3d-2.0"), 2, settings)


@pytest.mark.parametrize(
    ("preset", "model", "steps"),
    [
        (Preset.DRAFT, "hunyuan3d-2mini-turbo", 5),
        (Preset.DRAFT, "hunyuan3d-2.0-fast", 10),
        (Preset.STANDARD, "hunyuan3d-2.1", 30),
        (Preset.HIGH, "hunyuan3d-2.0", 50),
    ],
)
def test_the_preset_fills_in_what_was_not_asked_for(preset, model, steps):
    effort = effort_for(NetworkWishes(preset), model_of(model))
    assert (effort.steps, effort.guidance) == (steps, model_of(model).guidance)
    asked = NetworkWishes(preset, steps=7, guidance=0.0, cells=96)
    effort = effort_for(asked, model_of(model))
    assert (effort.steps, effort.guidance, effort.cells) == (7, 0.0, 96)
