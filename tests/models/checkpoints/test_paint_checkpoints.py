"""Models that paint, and those that serve them: their layout, what is read, what is refused."""

from __future__ import annotations

import importlib
import pickle

import pytest
import torch
from safetensors.torch import save_file

from backend.errors import (
    CheckpointConfigInvalid,
    LicenceNotAccepted,
    PackageMissing,
    TensorMisshapen,
    TensorMissing,
    TensorUnexpected,
    UnknownTarget,
    WeightsDamaged,
    WeightsMissing,
    WeightsUnsafe,
)
from backend.models.checkpoints.acceptance import Acceptances
from backend.models.checkpoints.catalogue import MODELS, Family, ModelKind, model_of
from backend.models.checkpoints.checkpoint import Component
from backend.models.checkpoints.components import load_component
from backend.models.checkpoints.converting import convert
from backend.models.checkpoints.finding import find_model, pickles_of, require_model
from backend.models.checkpoints.hub import HubFile, HubListing
from backend.models.checkpoints.identity import identified, model_in
from backend.models.checkpoints.listing import model_state
from backend.models.checkpoints.opening import described, open_model
from backend.models.checkpoints.picture_description import (
    delight_checkpoint,
    dinov2_checkpoint,
    paint_checkpoint,
    realesrgan_checkpoint,
)
from backend.models.checkpoints.pulling import wanted_files
from backend.models.checkpoints.verify import verify
from tests.models.tiny_paint_checkpoints import (
    TinyPaint,
    write_tiny_delight,
    write_tiny_dinov2,
    write_tiny_paint,
    write_tiny_realesrgan,
)

FAMILIES = {
    TinyPaint.COLOUR: Family.PAINT,
    TinyPaint.TURBO: Family.PAINT_TURBO,
    TinyPaint.PBR: Family.PAINT_PBR,
}
NETWORKS = (Component.UNET, Component.REFERENCE, Component.VAE)
UNET_FILE = "unet/diffusion_pytorch_model"
POINT = {
    Component.UNET: ("unet", "unet.up_blocks.1.resnets.0.conv1.bias"),
    Component.REFERENCE: ("unet", "unet_dual.conv_in.bias"),
    Component.VAE: ("vae", "decoder.conv_out.bias"),
}


def painting(root, which=TinyPaint.PBR, **options):
    return paint_checkpoint(write_tiny_paint(root, which, **options), FAMILIES[which])


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """All three as published, with what serves them, in one folder."""
    root = tmp_path_factory.mktemp("published")
    for which in TinyPaint:
        write_tiny_paint(root, which)
    write_tiny_delight(root)
    write_tiny_realesrgan(root)
    return root


@pytest.fixture
def accept(places, clock):
    def record(*names):
        for name in names:
            Acceptances(places.own_folder, clock).accept(model_of(name))

    return record


@pytest.mark.parametrize(
    ("which", "ending"),
    [
        (TinyPaint.COLOUR, ".safetensors"),
        (TinyPaint.TURBO, ".bin"),
        (TinyPaint.PBR, ".bin"),
        (TinyPaint.PBR, ".safetensors"),
    ],
)
def test_every_network_is_loaded_alone_in_the_type_of_the_file(tmp_path, which, ending):
    checkpoint = painting(tmp_path, which, ending=ending)
    assert verify(checkpoint).is_good
    assert set(checkpoint.components) == set(NETWORKS)
    for component in NETWORKS:
        network = load_component(checkpoint, component)
        assert {each.dtype for each in network.parameters()} == {torch.float16}
        assert not any(each.is_meta for each in (*network.parameters(), *network.buffers()))


def test_companions_are_good_as_published(published):
    upscaler = realesrgan_checkpoint(published)
    checkpoints = (
        delight_checkpoint(published / "Hunyuan3D-2/hunyuan3d-delight-v2-0"),
        dinov2_checkpoint(published / "dinov2-giant"),
        upscaler,
    )
    for checkpoint in checkpoints:
        result = verify(checkpoint)
        assert result.is_good, result
        assert result.notes == ()
        for component in checkpoint.components:
            load_component(checkpoint, component)
    network = load_component(upscaler, Component.UPSCALER)
    assert network(torch.zeros(1, 3, 4, 4).half()).shape == (1, 3, 16, 16)


def test_the_delighting_model_may_be_a_pickle_too(tmp_path):
    checkpoint = delight_checkpoint(write_tiny_delight(tmp_path, ending=".bin"))
    assert verify(checkpoint).is_good
    assert checkpoint.components[Component.TEXT_ENCODER].file.name == "pytorch_model.bin"


def test_light_is_taken_away_by_another_kind_of_noise_and_an_empty_text(published):
    delight = delight_checkpoint(published / "Hunyuan3D-2/hunyuan3d-delight-v2-0")
    paint = paint_checkpoint(published / "Hunyuan3D-2/hunyuan3d-paint-v2-0", Family.PAINT)
    assert delight.schedule["rescale_betas_zero_snr"] is False
    assert paint.schedule["rescale_betas_zero_snr"] is True
    assert paint.schedule["prediction_type"] == "v_prediction"
    text = load_component(delight, Component.TEXT_ENCODER).float().empty_text()
    assert text.shape == (1, 7, 32)
    assert text.isfinite().all()


@pytest.mark.parametrize("component", NETWORKS)
def test_what_is_wrong_is_named_and_stops_no_other_network(tmp_path, component):
    part, name = POINT[component]

    def lose(written):
        del written.states[part][name]

    def bend(written):
        written.states[part][name] = torch.zeros(3, 3)

    for change, error in ((lose, TensorMissing), (bend, TensorMisshapen)):
        checkpoint = painting(tmp_path, change=change, has_companions=False)
        with pytest.raises(error, match=name.replace(".", r"\.")):
            load_component(checkpoint, component)
        assert [finding.component for finding in verify(checkpoint).findings] == [component]
        for other in set(NETWORKS) - {component}:
            load_component(checkpoint, other)


def test_a_model_for_colour_in_the_folder_of_pbr_is_refused_and_the_other_way_round(tmp_path):
    folder = write_tiny_paint(tmp_path, TinyPaint.COLOUR)
    with pytest.raises(TensorMissing, match="unet"):
        load_component(paint_checkpoint(folder, Family.PAINT_PBR), Component.UNET)
    folder = write_tiny_paint(tmp_path, TinyPaint.PBR)
    with pytest.raises((TensorMissing, TensorUnexpected), match="unet"):
        load_component(paint_checkpoint(folder, Family.PAINT), Component.UNET)


def test_tensors_of_another_model_are_refused(tmp_path):
    def adapt(written):
        name = "unet.down_blocks.0.attentions.0.transformer_blocks.0.ip_adapter.weight"
        written.states["unet"][name] = torch.zeros(2, 2).half()

    checkpoint = painting(tmp_path, TinyPaint.COLOUR, change=adapt)
    with pytest.raises(TensorUnexpected, match="ip_adapter"):
        load_component(checkpoint, Component.UNET)


def test_of_turbo_the_bin_file_is_read_whatever_lies_beside_it(tmp_path, places):
    folder = write_tiny_paint(places.model_path, TinyPaint.TURBO)
    save_file({"other": torch.zeros(2)}, folder / f"{UNET_FILE}.safetensors")
    found = require_model(model_of(TinyPaint.TURBO), places)
    source = described(found).components[Component.UNET]
    assert source.file == folder / f"{UNET_FILE}.bin"
    assert folder / f"{UNET_FILE}.bin" in pickles_of(found)
    made = convert(source.file)
    assert made.target == folder / f"{UNET_FILE}.converted.safetensors"
    again = described(require_model(model_of(TinyPaint.TURBO), places))
    assert again.components[Component.UNET].file == made.target
    assert verify(again).is_good
    source.file.unlink()
    assert find_model(model_of(TinyPaint.TURBO), places).is_complete


def test_of_the_others_a_published_safetensors_file_comes_first(places):
    folder = write_tiny_paint(places.model_path, TinyPaint.COLOUR, ending=".safetensors")
    write_tiny_paint(places.model_path, TinyPaint.COLOUR, ending=".bin")
    found = require_model(model_of(TinyPaint.COLOUR), places)
    assert described(found).components[Component.UNET].file.suffix == ".safetensors"
    assert pickles_of(found) == ()
    (folder / f"{UNET_FILE}.safetensors").unlink()
    assert pickles_of(found) == (folder / f"{UNET_FILE}.bin",)


def test_a_pickle_with_a_program_is_not_run(tmp_path):
    folder = write_tiny_paint(tmp_path, TinyPaint.COLOUR)
    victim = tmp_path / "ran"

    class Program:
        def __reduce__(self):
            return (victim.touch, ())

    torch.save({"unet.conv_in.weight": Program()}, folder / f"{UNET_FILE}.bin")
    checkpoint = paint_checkpoint(folder, Family.PAINT)
    with pytest.raises(WeightsUnsafe):
        load_component(checkpoint, Component.UNET)
    assert [error.code for error in verify(checkpoint).errors] == ["weights-unsafe"]
    (folder / f"{UNET_FILE}.bin").write_bytes(pickle.dumps(Program()))
    with pytest.raises(WeightsUnsafe):
        load_component(checkpoint, Component.REFERENCE)
    assert not victim.exists()


@pytest.mark.parametrize("ending", [".bin", ".safetensors"])
def test_a_file_that_is_cut_off(tmp_path, ending):
    folder = write_tiny_paint(tmp_path, TinyPaint.COLOUR, ending=ending)
    path = folder / f"{UNET_FILE}{ending}"
    path.write_bytes(path.read_bytes()[:-4000])
    checkpoint = paint_checkpoint(folder, Family.PAINT)
    with pytest.raises(WeightsDamaged):
        load_component(checkpoint, Component.UNET)
    assert load_component(checkpoint, Component.VAE)


@pytest.mark.parametrize(
    ("entry", "value"),
    [("prediction_type", "epsilon"), ("beta_schedule", "linear"), ("beta_end", 0.02),
     ("num_train_timesteps", 1001), ("rescale_betas_zero_snr", False)],
)  # fmt: skip
def test_noise_of_another_kind_is_refused(tmp_path, entry, value):
    def change(written):
        written.configs["scheduler"][entry] = value

    with pytest.raises(UnknownTarget, match=entry):
        painting(tmp_path, change=change, has_companions=False)


def test_what_the_schedule_does_not_tell_is_assumed_and_said(tmp_path):
    def change(written):
        del written.configs["scheduler"]["rescale_betas_zero_snr"]
        written.configs["scheduler"]["timestep_spacing"] = "leading"

    checkpoint = painting(tmp_path, TinyPaint.COLOUR, change=change)
    assert "rescale_betas_zero_snr" in verify(checkpoint).notes[0]
    assert checkpoint.schedule["rescale_betas_zero_snr"] is True

    def spoil(written):
        written.configs["scheduler"]["beta_start"] = "small"

    with pytest.raises(CheckpointConfigInvalid, match="beta_start"):
        painting(tmp_path, change=spoil, has_companions=False)


@pytest.mark.parametrize("part", ["unet", "vae"])
def test_a_class_of_another_kind_is_refused(tmp_path, part):
    def change(written):
        written.configs[part]["_class_name"] = "os.system"

    with pytest.raises(UnknownTarget, match=r"os\.system"):
        painting(tmp_path, change=change, has_companions=False)


def test_a_size_that_is_not_told_is_named(tmp_path):
    def change(written):
        del written.configs["unet"]["block_out_channels"]

    with pytest.raises(CheckpointConfigInvalid, match="block_out_channels"):
        load_component(painting(tmp_path, change=change, has_companions=False), Component.UNET)


def test_a_text_that_is_no_table_is_told_and_not_read_as_one(tmp_path):
    def flatten(written):
        name = "unet.learned_text_clip_ref"
        written.states["unet"][name] = written.states["unet"][name].flatten()

    checkpoint = painting(tmp_path, change=flatten, has_companions=False)
    with pytest.raises(TensorMisshapen, match="learned_text_clip"):
        load_component(checkpoint, Component.REFERENCE)
    assert verify(checkpoint).findings


def test_a_description_of_another_encoder_is_refused(tmp_path):
    folder = write_tiny_dinov2(tmp_path)
    (folder / "config.json").write_text('{"model_type": "vit"}')
    with pytest.raises(UnknownTarget, match="vit"):
        dinov2_checkpoint(folder)


def test_pbr_is_not_ready_without_its_image_encoder(places, clock, accept, settings, environment):
    model = model_of(TinyPaint.PBR)
    write_tiny_paint(places.model_path, has_companions=False)
    accept(model.id)
    acceptances = Acceptances(places.own_folder, clock)
    state = model_state(model, places, acceptances)
    assert state.found.is_complete
    assert (state.lacking, state.is_usable) == (("dinov2-giant",), False)
    with pytest.raises(WeightsMissing, match="DINOv2"):
        open_model(model.id, settings, clock, environment)
    write_tiny_dinov2(places.model_path)
    assert model_state(model, places, acceptances).is_usable
    assert Component.UNET in open_model(model.id, settings, clock, environment).components
    encoder = open_model("dinov2-giant", settings, clock, environment)
    assert Component.IMAGE_ENCODER in encoder.components


def test_painting_has_a_licence_of_its_own(places, clock, accept, settings, environment):
    write_tiny_paint(places.model_path, TinyPaint.COLOUR)
    accept("hunyuan3d-2.0")
    with pytest.raises(LicenceNotAccepted):
        open_model(TinyPaint.COLOUR, settings, clock, environment)
    accept(TinyPaint.TURBO)
    assert open_model(TinyPaint.COLOUR, settings, clock, environment)


def test_a_folder_of_shapes_is_not_taken_for_an_image_encoder(places):
    places.model_path.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        (places.model_path / name).write_bytes(b"{}")
    assert find_model(model_of("dinov2-giant"), places) is None


def test_models_are_known_by_the_names_of_their_folders_and_files(published):
    assert model_in(published / "Hunyuan3D-2/hunyuan3d-paint-v2-0").id == TinyPaint.COLOUR
    assert identified(published / "Hunyuan3D-2/hunyuan3d-paint-v2-0-turbo").id == TinyPaint.TURBO
    assert identified(published / "Hunyuan3D-2.1/hunyuan3d-paintpbr-v2-1").id == TinyPaint.PBR
    assert identified(published / "dinov2-giant").id == "dinov2-giant"
    assert identified(published).id == "realesrgan-x4plus"
    assert identified(published / "Hunyuan3D-2/hunyuan3d-paint-v2-0/unet") is None


def test_only_what_is_needed_is_pulled():
    folder = "hunyuan3d-paintpbr-v2-1"
    needed = {
        "LICENSE", f"{folder}/unet/config.json", f"{folder}/{UNET_FILE}.bin",
        f"{folder}/vae/config.json", f"{folder}/vae/diffusion_pytorch_model.bin",
        f"{folder}/scheduler/scheduler_config.json",
    }  # fmt: skip
    unneeded = {
        f"{folder}/unet/modules.py", f"{folder}/text_encoder/model.safetensors",
        f"{folder}/image_encoder/model.safetensors", f"{folder}/tokenizer/vocab.json",
        f"{folder}/feature_extractor/preprocessor_config.json", f"{folder}/model_index.json",
        "hunyuan3d-dit-v2-1/model.fp16.ckpt",
    }  # fmt: skip
    files = tuple(HubFile(path, 1, None, None) for path in needed | unneeded)
    listing = HubListing("tencent/Hunyuan3D-2.1", "c" * 40, files)
    wanted = wanted_files(model_of(TinyPaint.PBR), listing)
    assert {file.path for file in wanted} == needed


def test_of_turbo_the_other_file_is_not_pulled():
    folder = "hunyuan3d-paint-v2-0-turbo"
    names = [
        "unet/config.json", f"{UNET_FILE}.bin", f"{UNET_FILE}.safetensors", "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors", "scheduler/scheduler_config.json",
    ]  # fmt: skip
    files = tuple(HubFile(f"{folder}/{name}", 1, None, None) for name in names)
    listing = HubListing("tencent/Hunyuan3D-2", "c" * 40, files)
    wanted = {file.path for file in wanted_files(model_of(TinyPaint.TURBO), listing)}
    assert f"{folder}/{UNET_FILE}.bin" in wanted
    assert f"{folder}/{UNET_FILE}.safetensors" not in wanted


def test_companions_are_models_of_the_catalogue():
    names = {model.id for model in MODELS if model.kind is ModelKind.COMPANION}
    named = {name for model in MODELS for name in (*model.needs, *model.uses)}
    assert named == names


def test_without_diffusers_it_is_said_what_to_install(tmp_path, monkeypatch):
    real = importlib.import_module

    def bare(name):
        if name.endswith("paint_unet"):
            raise ModuleNotFoundError("gone", name="diffusers.models")
        return real(name)

    monkeypatch.setattr(importlib, "import_module", bare)
    checkpoint = painting(tmp_path, TinyPaint.COLOUR)
    with pytest.raises(PackageMissing) as failure:
        load_component(checkpoint, Component.UNET)
    assert "requirements-paint.txt" in failure.value.advice
