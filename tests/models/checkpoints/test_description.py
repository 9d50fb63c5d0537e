from __future__ import annotations

import json
import os

import pytest

from backend.errors import CheckpointConfigInvalid, UnknownTarget, WeightsMissing
from backend.models.checkpoints.catalogue import model_of
from backend.models.checkpoints.checkpoint import Architecture, Component, SchedulerKind
from backend.models.checkpoints.finding import find_model
from backend.models.checkpoints.hunyuan_description import hunyuan_checkpoint
from backend.models.checkpoints.identity import identified
from tests.models.checkpoints.tiny_checkpoints import (
    TINY_FOLDERS,
    TINY_IDS,
    TinyFamily,
    tiny_config,
    write_tiny_checkpoint,
)

ARCHITECTURES = {
    TinyFamily.FLUX: Architecture.FLUX_DENOISER,
    TinyFamily.FLUX_TURBO: Architecture.FLUX_DENOISER,
    TinyFamily.PLAIN: Architecture.PLAIN_DENOISER,
}


def _write(folder, config):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.ckpt").write_bytes(b"x")
    return folder


@pytest.mark.parametrize("family", TinyFamily)
def test_the_published_layout_is_understood(tmp_path, family):
    write_tiny_checkpoint(tmp_path, family)
    checkpoint = hunyuan_checkpoint(tmp_path)
    denoiser = checkpoint.components[Component.DENOISER]
    assert denoiser.architecture is ARCHITECTURES[family]
    assert denoiser.params["hidden_size"] == 32
    assert checkpoint.weight_files == (tmp_path / "model.fp16.safetensors",)
    assert (checkpoint.picture.size_px, checkpoint.picture.border_share) == (64, 0.15)
    is_turbo = family is TinyFamily.FLUX_TURBO
    assert checkpoint.has_guidance_input is is_turbo
    assert checkpoint.scheduler.kind is (
        SchedulerKind.CONSISTENCY if is_turbo else SchedulerKind.EULER
    )
    assert checkpoint.scheduler.grid_size == (100 if is_turbo else None)
    assert not checkpoint.takes_views


@pytest.mark.parametrize("family", TinyFamily)
def test_a_folder_of_any_name_is_known_by_its_description(tmp_path, places, family):
    assert identified(tmp_path) is None
    _write(places.model_path, tiny_config(family))
    assert identified(places.model_path).id == TINY_IDS[family]
    for other in TinyFamily:
        found = find_model(model_of(TINY_IDS[other]), places)
        assert (found is not None) == (other is family)


def test_what_makes_a_mini_a_fast_one_and_one_for_views(tmp_path):
    config = tiny_config(TinyFamily.FLUX)
    config["vae"]["params"]["num_latents"] = 512
    assert identified(_write(tmp_path / "a", config)).id == "hunyuan3d-2mini"
    config["model"]["params"]["guidance_embed"] = True
    assert identified(_write(tmp_path / "b", config)).id == "hunyuan3d-2mini-fast"
    config["conditioner"]["params"]["main_image_encoder"]["type"] = "DinoImageEncoderMV"
    config["image_processor"]["target"] = "hy3dgen.shapegen.preprocessors.MVImageProcessorV2"
    folder = _write(tmp_path / "b", config)  # in the place of another
    assert identified(folder).id == "hunyuan3d-2mv-fast"
    assert hunyuan_checkpoint(folder).takes_views


def test_a_lighter_vae_takes_the_place_of_the_other(tmp_path):
    write_tiny_checkpoint(tmp_path / "dit")
    vae = tiny_config(TinyFamily.FLUX)["vae"]
    for name, config in (("lone", vae), ("in a section", {"vae": vae})):
        folder = _write(tmp_path / name, config)
        source = hunyuan_checkpoint(tmp_path / "dit", folder).components[Component.VAE]
        assert source.file == folder / "model.ckpt"
        assert source.params["width"] == 32


@pytest.mark.parametrize("section", ["model", "vae", "conditioner", "scheduler", "image_processor"])
@pytest.mark.parametrize("target", ["hy3dgen.shapegen.Other", "os.system", "evil.ShapeVAE"])
def test_an_unknown_target_is_named_and_never_imported(tmp_path, section, target):
    config = tiny_config(TinyFamily.FLUX)
    config[section]["target"] = target
    with pytest.raises(UnknownTarget, match=f"'{section}'.*{target}"):
        hunyuan_checkpoint(_write(tmp_path, config))


def test_an_unknown_image_encoder_is_named(tmp_path):
    config = tiny_config(TinyFamily.FLUX)
    config["conditioner"]["params"]["main_image_encoder"]["type"] = "CLIPImageEncoder"
    with pytest.raises(UnknownTarget, match="CLIPImageEncoder"):
        hunyuan_checkpoint(_write(tmp_path, config))


@pytest.mark.parametrize("section", ["model", "vae", "conditioner", "scheduler"])
def test_a_missing_section_is_named(tmp_path, section):
    config = tiny_config(TinyFamily.FLUX)
    del config[section]
    with pytest.raises(CheckpointConfigInvalid, match=f"'{section}'"):
        hunyuan_checkpoint(_write(tmp_path, config))


def test_a_python_tag_in_yaml_is_refused_and_not_run(tmp_path):
    write_tiny_checkpoint(tmp_path)
    mark = tmp_path / "ran"
    (tmp_path / "config.yaml").write_text(f"model: !!python/object/apply:os.mkdir ['{mark}']\n")
    with pytest.raises(CheckpointConfigInvalid, match="no plain value"):
        hunyuan_checkpoint(tmp_path)
    assert not mark.exists()


@pytest.mark.parametrize("text", ["a: [", "- 1\n- 2\n", "model: 3\n", "", "\x00", "[" * 1200])
def test_a_damaged_description(tmp_path, text):
    write_tiny_checkpoint(tmp_path)
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(CheckpointConfigInvalid):
        hunyuan_checkpoint(tmp_path)


def test_a_description_that_never_ends(tmp_path):
    write_tiny_checkpoint(tmp_path)
    os.truncate(tmp_path / "config.yaml", 2_000_000)
    with pytest.raises(CheckpointConfigInvalid, match="larger"):
        hunyuan_checkpoint(tmp_path)


def test_no_weights_or_no_description(tmp_path):
    folder = _write(tmp_path, tiny_config(TinyFamily.FLUX))
    (folder / "model.ckpt").unlink()
    with pytest.raises(WeightsMissing, match=r"model\.fp16\.safetensors"):
        hunyuan_checkpoint(folder)
    (folder / "config.json").unlink()
    with pytest.raises(WeightsMissing, match=r"config\.yaml"):
        hunyuan_checkpoint(folder)


def test_the_names_of_tiny_folders_are_the_published_ones():
    for family, folder in TINY_FOLDERS.items():
        assert model_of(TINY_IDS[family]).denoiser_folder == folder


def test_an_entry_that_is_missing_is_named_as_it_is_written(tmp_path):
    _write(tmp_path, {"vae": {}})
    with pytest.raises(CheckpointConfigInvalid, match=r"no entry 'model'"):
        hunyuan_checkpoint(tmp_path)
