"""What the worker says of the models, from files on the disk."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from backend.catalog import ShapeModel
from backend.jobs import model_rows
from backend.jobs.model_rows import shelf_document
from backend.jobs.shelf_writer import LOOK_S, ShelfWriter
from backend.models.checkpoints.acceptance import Acceptances
from backend.models.checkpoints.catalogue import model_of
from backend.settings import Settings
from backend.web.api.models import KIND_OF


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("HY3DGEN_MODELS", "HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    weights = tmp_path / "weights"
    weights.mkdir()
    return Settings.from_env({}, data_dir=tmp_path / "data", model_path=str(weights))


@pytest.fixture
def put(tmp_path):
    """Write files that look like those of Hunyuan3D 2.0; only names are looked at."""

    def write(*names, folder="hunyuan3d-dit-v2-0"):
        place = tmp_path / "weights" / folder
        place.mkdir(exist_ok=True)
        for name in names:
            (place / name).write_bytes(b"x" * 10)

    return write


def accept(settings, clock, model_id="hunyuan3d-2.0"):
    folder = settings.data_dir / "models"
    Acceptances(folder, clock).accept(model_of(model_id))


def row_of(settings, clock, model_id="hunyuan3d-2.0"):
    rows = shelf_document(settings, clock)["models"]
    return next(row for row in rows if row["id"] == model_id)


def test_every_model_that_a_job_may_name_is_listed(settings, clock):
    rows = shelf_document(settings, clock)["models"]
    runnable = {row["id"]: row["kind"] for row in rows if row["state"] != "unsupported"}
    shapes = {name for name, kind in runnable.items() if kind == "shape"}
    assert shapes == {model.value for model in ShapeModel} - {"auto"}
    assert runnable == KIND_OF


def test_a_model_becomes_ready_file_by_file(settings, clock, put):
    assert row_of(settings, clock)["state"] == "absent"
    assert row_of(settings, clock)["size_bytes"] is None
    put("config.yaml")
    partial = row_of(settings, clock)
    assert partial["state"] == "incomplete"
    assert "model.fp16.safetensors" in partial["missing"][0]
    put("model.fp16.safetensors")
    whole = row_of(settings, clock)
    assert (whole["state"], whole["missing"], whole["size_bytes"]) == ("licence_needed", [], 20)
    accept(settings, clock)
    ready = row_of(settings, clock)
    assert (ready["state"], ready["accepted"]) == ("ready", True)
    assert ready["accepted_at"].startswith("2026-11-21")


def test_the_licence_comes_with_its_territorial_limit(settings, clock):
    licence = row_of(settings, clock)["licence"]
    assert licence["needs_acceptance"]
    assert any("European Union" in point for point in licence["points"])


def test_the_reason_follows_what_is_missing(settings, clock, put, monkeypatch):
    def reason():
        return shelf_document(settings, clock)["reason_unavailable"]

    assert reason() == model_rows.NO_WEIGHTS
    put("config.yaml")
    assert reason() == model_rows.INCOMPLETE
    put("model.safetensors")
    assert reason() == model_rows.NOT_ACCEPTED
    accept(settings, clock)
    assert reason() is None
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    assert reason() == model_rows.NO_TORCH


def test_models_for_parts_have_reasons_of_their_own(settings, clock, put):
    def reasons():
        return shelf_document(settings, clock)["parts_unavailable"]

    assert reasons() == dict.fromkeys(["segmentation", "completion"], model_rows.NO_PART_WEIGHTS)
    put("p3sam.safetensors", folder="p3sam")
    assert shelf_document(settings, clock)["reason_unavailable"] == model_rows.NO_WEIGHTS
    assert reasons()["segmentation"] == model_rows.NOT_ACCEPTED
    accept(settings, clock, "x-part")
    assert reasons() == {"segmentation": None, "completion": model_rows.NO_PART_WEIGHTS}
    row = row_of(settings, clock, "p3-sam")
    assert (row["state"], row["size_bytes"], row["steps"], row["views"]) == (
        "ready",
        10,
        None,
        None,
    )


def test_models_that_paint_have_a_reason_of_their_own(settings, clock, put, monkeypatch):
    def reason():
        return shelf_document(settings, clock)["texture_unavailable"]

    def put_picture_model(folder):
        for part in ("unet", "vae", "scheduler"):
            (settings_folder / folder / part).mkdir(parents=True, exist_ok=True)
        for name in (
            "unet/config.json",
            "vae/config.json",
            "scheduler/scheduler_config.json",
            "unet/diffusion_pytorch_model.bin",
            "vae/diffusion_pytorch_model.bin",
        ):
            (settings_folder / folder / name).write_bytes(b"x" * 10)  # fmt: skip

    settings_folder = Path(settings.model_path)
    assert reason() == model_rows.NO_WEIGHTS
    put_picture_model("hunyuan3d-paintpbr-v2-1")
    assert reason() == model_rows.INCOMPLETE
    row = row_of(settings, clock, "hunyuan3d-paint-2.1")
    assert (row["state"], row["missing"]) == ("incomplete", ["the model dinov2-giant"])
    assert (row["kind"], row["size_bytes"]) == ("texture", 50)
    put("config.json", "model.safetensors", folder="dinov2-giant")
    assert reason() == model_rows.NOT_ACCEPTED
    accept(settings, clock, "hunyuan3d-paint-2.1")
    assert reason() is None
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "diffusers" else real(name)
    )
    assert reason() == model_rows.NO_DIFFUSERS


def test_people_are_told_where_each_model_is_published(settings, clock):
    at = row_of(settings, clock, "realesrgan-x4plus")["published_at"]
    assert at == "github.com/xinntao/Real-ESRGAN"
    at = row_of(settings, clock, "dinov2-giant")["published_at"]
    assert at == "huggingface.co/facebook/dinov2-giant"


class Shelf:
    """A Redis that only remembers what it was told."""

    def __init__(self):
        self.written = []

    def set(self, key, text, ex):
        self.written.append((key, text, ex))


def test_the_writer_looks_every_half_minute_and_after_an_acceptance(settings, clock):
    shelf = Shelf()
    writer = ShelfWriter(shelf, settings, clock)
    assert writer.look()
    assert not writer.look()
    clock.forward(seconds=LOOK_S - 1)
    assert not writer.look()
    clock.forward(seconds=1)
    assert writer.look()
    accept(settings, clock)
    assert writer.look()
    assert not writer.look()
    assert len(shelf.written) == 3
    assert shelf.written[0][2] > 2 * LOOK_S
