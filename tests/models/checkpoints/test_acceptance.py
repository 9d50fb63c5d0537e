from __future__ import annotations

import json

import pytest

from backend.errors import EngineUnavailable, LicenceNotAccepted, StartFailed
from backend.models.checkpoints.acceptance import FILE_NAME, Acceptances
from backend.models.checkpoints.catalogue import MODELS, model_of
from backend.models.checkpoints.licences import LicenceId, licence_of
from backend.models.checkpoints.opening import open_model
from tests.models.checkpoints.tiny_checkpoints import write_tiny_repository

FIRST, MINI, LATER = (model_of(f"hunyuan3d-{name}") for name in ("2.0", "2mini", "2.1"))


def test_the_notice_tells_where_the_licence_does_not_apply():
    for licence in (LicenceId.TENCENT_HUNYUAN_2, LicenceId.TENCENT_HUNYUAN_21):
        notice = licence_of(licence).notice
        for words in ("European Union", "United Kingdom", "South Korea", "1 million", "other AI"):
            assert words in notice
    assert {licence_of(model.licence).needs_acceptance for model in MODELS} == {True, False}


def test_accepted_once_for_all_models_under_a_licence(tmp_path, clock):
    record = Acceptances(tmp_path / "models", clock)
    with pytest.raises(LicenceNotAccepted, match=r"Hunyuan3D 2\.0") as failure:
        record.require(FIRST)
    assert "models accept hunyuan3d-2.0" in failure.value.advice
    record.accept(FIRST)
    record.accept(MINI)
    kept = json.loads((tmp_path / "models" / FILE_NAME).read_text())["accepted"]
    assert kept == [{"licence": FIRST.licence, "model": FIRST.id, "at": "2026-11-21T12:00:00.000Z"}]
    again = Acceptances(tmp_path / "models", clock)
    again.require(MINI)
    assert not again.covers(LATER)
    again.accept(LATER)
    assert again.covers(FIRST)
    assert again.covers(LATER)


def test_nothing_needs_to_be_accepted_for_an_open_licence(tmp_path, clock):
    record = Acceptances(tmp_path, clock)
    record.require(model_of("triposg"))
    assert record.of(model_of("triposg")) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "[]", '{"accepted": [{"licence": "x"}]}'])
def test_a_damaged_record_is_no_acceptance(tmp_path, clock, text):
    (tmp_path / FILE_NAME).write_text(text)
    with pytest.raises(StartFailed, match=FILE_NAME):
        Acceptances(tmp_path, clock).covers(FIRST)


def test_what_is_not_supported_yet_is_not_loaded(settings, environment, clock):
    with pytest.raises(EngineUnavailable, match="layout of its VAE"):
        open_model("triposg", settings, clock, environment)


def test_files_of_ones_own_need_the_licence_too(settings, environment, places, clock):
    folder = write_tiny_repository(places.model_path)
    with pytest.raises(LicenceNotAccepted):
        open_model(FIRST.id, settings, clock, environment)
    Acceptances(places.own_folder, clock).accept(FIRST)
    assert open_model(FIRST.id, settings, clock, environment).folder == folder
