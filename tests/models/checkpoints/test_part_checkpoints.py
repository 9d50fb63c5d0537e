"""P3-SAM and X-Part: their layout, what is read of it, and what is refused."""

from __future__ import annotations

import importlib
import json
from operator import attrgetter

import pytest
import torch

from backend.errors import (
    CheckpointConfigInvalid,
    TensorMisshapen,
    TensorMissing,
    TensorUnexpected,
    UnknownTarget,
    WeightsMissing,
)
from backend.models.checkpoints import published_part_sizes
from backend.models.checkpoints.catalogue import model_of
from backend.models.checkpoints.checkpoint import Architecture, Component
from backend.models.checkpoints.components import load_component
from backend.models.checkpoints.finding import find_model, require_model
from backend.models.checkpoints.identity import identified
from backend.models.checkpoints.network_table import network_of
from backend.models.checkpoints.opening import described
from backend.models.checkpoints.part_description import p3sam_checkpoint, xpart_checkpoint
from backend.models.checkpoints.reading import SafetensorsFile
from backend.models.checkpoints.verify import verify
from tests.models.checkpoints.tiny_part_checkpoints import (
    DEAD,
    SONATA,
    XPART,
    random_state,
    write_tiny_p3sam,
    write_tiny_xpart,
)

FINDER, MAKER = model_of("p3-sam"), model_of("x-part")
SOURCES = {
    Component.CONDITIONER: "conditioner",
    Component.DENOISER: "model",
    Component.VAE: "shapevae",
}


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Both models, as published, in one folder."""
    root = tmp_path_factory.mktemp("published")
    write_tiny_p3sam(root)
    return write_tiny_xpart(root)


def loaded(checkpoint, component, dtype=None):
    return load_component(checkpoint, component, dtype=dtype)


def test_both_models_are_good_as_published(published):
    finder = verify(p3sam_checkpoint(published / "p3sam"))
    maker = verify(xpart_checkpoint(published))
    assert finder.is_good
    assert maker.is_good
    assert finder.notes == maker.notes == ()


def test_dead_weights_are_neither_read_nor_missed(published, monkeypatch):
    read = []
    original = SafetensorsFile.read
    monkeypatch.setattr(
        SafetensorsFile, "read", lambda self, name: read.append(name) or original(self, name)
    )
    for component in SOURCES:
        loaded(xpart_checkpoint(published), component)
    loaded(p3sam_checkpoint(published / "p3sam"), Component.SEGMENTER)
    dead = {name for names in DEAD.values() for name in names}
    assert read
    assert not dead & set(read)


def test_nothing_else_is_left_out(tmp_path):
    def add(states):
        states["conditioner"]["obj_encoder.encoder.spare"] = torch.zeros(2)

    checkpoint = xpart_checkpoint(write_tiny_xpart(tmp_path, change_state=add))
    with pytest.raises(TensorUnexpected, match=r"obj_encoder\.encoder\.spare"):
        loaded(checkpoint, Component.CONDITIONER)
    loaded(checkpoint, Component.DENOISER)


@pytest.mark.parametrize("dtype", [None, torch.bfloat16, torch.float16])
def test_features_of_points_stay_float32(published, dtype):
    finder = loaded(p3sam_checkpoint(published / "p3sam"), Component.SEGMENTER, dtype)
    assert {each.dtype for each in finder.parameters()} == {torch.float32}
    conditioner = loaded(xpart_checkpoint(published), Component.CONDITIONER, dtype)
    for name, each in conditioner.named_parameters():
        is_features = name.startswith("features.")
        assert each.dtype is (torch.float32 if is_features else dtype or torch.float16), name


def test_names_under_the_module_that_was_trained_are_understood(tmp_path):
    def rename(state):
        for name in list(state):
            state[f"dit.{name}"] = state.pop(name)

    plain = loaded(p3sam_checkpoint(write_tiny_p3sam(tmp_path / "a")), Component.SEGMENTER)
    checkpoint = p3sam_checkpoint(write_tiny_p3sam(tmp_path / "b", change_state=rename))
    assert verify(checkpoint).is_good
    renamed = loaded(checkpoint, Component.SEGMENTER)
    for one, other in zip(plain.parameters(), renamed.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("component", SOURCES)
def test_what_is_wrong_is_named_and_stops_no_other_network(tmp_path, component):
    folder = SOURCES[component]
    (lost, bent) = sorted(
        name
        for name, each in random_state(folder, XPART[folder]["params"]).items()
        if name not in DEAD.get(folder, {}) and each.ndim == 1
    )[:2]

    def lose(states):
        del states[folder][lost]

    def bend(states):
        states[folder][bent] = torch.zeros(3, 3)

    for change, error, name in ((lose, TensorMissing, lost), (bend, TensorMisshapen, bent)):
        checkpoint = xpart_checkpoint(write_tiny_xpart(tmp_path, change_state=change))
        with pytest.raises(error, match=name.replace(".", r"\.")):
            loaded(checkpoint, component)
        assert [finding.component for finding in verify(checkpoint).findings] == [component]


def test_a_file_that_is_cut_off_is_told_beside_the_others(tmp_path):
    folder = write_tiny_xpart(tmp_path)
    path = folder / "model" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-5])
    result = verify(xpart_checkpoint(folder))
    assert [error.code for error in result.errors] == ["weights-damaged"]
    assert result.findings == ()


def test_without_descriptions_the_published_sizes_are_taken_and_that_is_said(published, tmp_path):
    folder = write_tiny_p3sam(tmp_path)
    (folder / "config.json").unlink()
    result = verify(p3sam_checkpoint(folder))
    assert result.notes == ("p3sam/config.json is not there; the published sizes were taken.",)
    assert any("48" in finding.detail for finding in result.findings)
    (folder / "config.json").write_text(
        json.dumps({"params": {}, "sonata": SONATA, "feat_dim": 16, "hidden": 16})
    )
    assert "hidden2" in verify(p3sam_checkpoint(folder)).notes[0]


def test_the_published_sizes_are_those_of_the_full_networks():
    from backend.models.p3sam.config import P3SAM, P3SamConfig
    from backend.models.xpart.denoiser_config import X_PART, PartDenoiserConfig
    from backend.models.xpart.part_conditioner import PartConditionerConfig

    assert P3SamConfig.from_upstream(published_part_sizes.P3SAM_SIZES) == P3SAM
    assert PartDenoiserConfig.from_upstream(published_part_sizes.DENOISER_SIZES) == X_PART
    conditioner = PartConditionerConfig.from_upstream(published_part_sizes.CONDITIONER_SIZES)
    assert conditioner.object_encoder.tokens == 4096
    assert conditioner.features == P3SAM.features


@pytest.mark.parametrize(
    ("architecture", "sizes", "tensors", "numbers"),
    [
        (Architecture.P3SAM, published_part_sizes.P3SAM_SIZES, 512, 112_728_601),
        (Architecture.PART_CONDITIONER, published_part_sizes.CONDITIONER_SIZES, 746, 339_569_936),
        (Architecture.PART_DENOISER, published_part_sizes.DENOISER_SIZES, 942, 3_315_236_672),
        (Architecture.SHAPE_VAE, published_part_sizes.VAE_SIZES, 266, 214_212_865),
    ],
)
def test_at_the_published_sizes_files_are_as_large_as_published(
    architecture, sizes, tensors, numbers
):
    """By the spec: 513, 1283, 942 and 410 tensors, of which these are used."""
    network = network_of(architecture)
    module, _, method = network.read_config.partition(":")
    read = attrgetter(method)(importlib.import_module(module))
    shapes = importlib.import_module(network.weights).upstream_shapes(read(sizes))
    assert len(shapes) == tensors
    assert sum(shape.numel() for shape in shapes.values()) == numbers


@pytest.mark.parametrize("target", ["os.system", "evil.Conditioner", ""])
@pytest.mark.parametrize("name", ["conditioner", "model", "shapevae", "scheduler"])
def test_a_class_of_others_is_refused_and_never_imported(tmp_path, name, target):
    folder = write_tiny_xpart(
        tmp_path, change_config=lambda config: config[name].update(target=target)
    )
    with pytest.raises(UnknownTarget, match=f"{name}/config"):
        xpart_checkpoint(folder)


def test_a_shifted_schedule_is_refused(tmp_path):
    def shift(config):
        config["scheduler"]["params"]["shift"] = 3.0

    with pytest.raises(UnknownTarget, match="shift of 3"):
        xpart_checkpoint(write_tiny_xpart(tmp_path, change_config=shift))


def test_sizes_that_make_no_network_are_refused(tmp_path):
    def change(config):
        config["model"]["params"]["num_heads"] = 5

    checkpoint = xpart_checkpoint(write_tiny_xpart(tmp_path, change_config=change))
    with pytest.raises(CheckpointConfigInvalid, match="part denoiser"):
        loaded(checkpoint, Component.DENOISER)


def test_each_model_is_found_and_complete_without_the_other(places):
    assert find_model(FINDER, places) is find_model(MAKER, places) is None
    write_tiny_p3sam(places.model_path)
    assert find_model(FINDER, places).is_complete
    assert find_model(MAKER, places) is None
    folder = write_tiny_xpart(places.model_path)
    (folder / "shapevae" / "shapevae.safetensors").unlink()
    assert find_model(MAKER, places).missing == ("shapevae/shapevae.safetensors",)
    with pytest.raises(WeightsMissing, match="shapevae"):
        require_model(MAKER, places)
    write_tiny_xpart(places.model_path)
    assert described(require_model(MAKER, places)).components.keys() == SOURCES.keys()


@pytest.mark.parametrize("parent", [".", "tencent", "any"])
def test_models_of_parts_are_known_by_their_files(places, parent):
    root = places.model_path.parent / "elsewhere" / parent
    write_tiny_p3sam(root)
    repository = root / "Hunyuan3D-Part"
    assert identified(repository) is FINDER
    assert identified(repository / "p3sam") is FINDER
    write_tiny_xpart(root)
    assert identified(repository) is MAKER
