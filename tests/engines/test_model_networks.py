"""Networks of models that work on parts, as engines hold them."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from backend.engines import model_networks
from backend.engines.chosen_attention import ChosenAttention
from backend.engines.model_networks import networks_of
from backend.errors import JobCanceled, LicenceNotAccepted, WeightsMissing
from backend.models.checkpoints.acceptance import Acceptances
from backend.models.checkpoints.catalogue import model_of
from backend.models.checkpoints.checkpoint import Component
from backend.models.quantised_linear import Int8Linear, quantised
from backend.progress import heeding
from backend.residency import process
from backend.residency.process import current_residency
from backend.units import SystemClock
from tests.models.checkpoints.tiny_part_checkpoints import write_tiny_p3sam, write_tiny_xpart
from tests.stopping_progress import StoppingProgress


@pytest.fixture(autouse=True)
def server(tmp_path, monkeypatch):
    """A server without a card on which both models lie."""
    for name, folder in (
        ("MESHKILN_DATA_DIR", "data"),
        ("MESHKILN_MODEL_PATH", "own"),
        ("HY3DGEN_MODELS", "authors"),
        ("HF_HUB_CACHE", "cache"),
    ):
        monkeypatch.setenv(name, str(tmp_path / folder))
    monkeypatch.setenv("MESHKILN_GPU", "cpu")
    monkeypatch.setattr(process, "_current", None)
    write_tiny_p3sam(tmp_path / "own")
    write_tiny_xpart(tmp_path / "own")
    Acceptances(tmp_path / "data" / "models", SystemClock()).accept(model_of("p3-sam"))
    yield
    current_residency().close()


def rounded_in(network):
    return [name for name, each in network.named_modules() if isinstance(each, Int8Linear)]


def test_a_model_has_the_networks_that_it_has(tmp_path):
    finder, maker = networks_of("p3-sam"), networks_of("x-part")
    with finder.lease(Component.SEGMENTER) as network:
        assert type(network).__name__ == "P3Sam"
    for component in (Component.CONDITIONER, Component.DENOISER, Component.VAE):
        with maker.lease(component) as network:
            assert {each.dtype for each in network.parameters()} == {torch.float32}
    assert Component.VAE not in finder.checkpoint.components
    assert networks_of("p3-sam") is finder


def test_other_weights_make_other_networks(tmp_path):
    before = networks_of("p3-sam")
    write_tiny_p3sam(tmp_path / "own", change_state=lambda state: state.pop("mlp.0.bias"))
    after = networks_of("p3-sam")
    assert after is not before
    assert after.files != before.files
    hash(after.files)


def test_weights_that_vanish_while_they_are_looked_at_are_told_as_missing(tmp_path, monkeypatch):
    def opened(*args):
        checkpoint = open_model(*args)
        checkpoint.weight_files[0].unlink()
        return checkpoint

    open_model = model_networks.open_model
    networks_of("p3-sam")
    monkeypatch.setattr(model_networks, "open_model", opened)
    with pytest.raises(WeightsMissing, match=r"p3sam\.safetensors"):
        networks_of("p3-sam")


@pytest.mark.parametrize("weights", ["full", "int8"])
def test_on_a_processor_a_cancel_ends_a_call_before_the_next_layer(monkeypatch, weights):
    monkeypatch.setenv("MESHKILN_WEIGHTS", weights)
    progress, leased = StoppingProgress(at=1), networks_of("x-part").lease(Component.DENOISER)
    with leased as network, heeding(progress), pytest.raises(JobCanceled):
        network.blocks[0]()


def test_on_a_card_calls_ask_nobody(monkeypatch):
    monkeypatch.setattr(model_networks, "has_gpu", lambda _settings: True)
    with networks_of("x-part").lease(Component.DENOISER) as network:
        assert not any(each._forward_pre_hooks for each in network.modules())


def test_on_a_processor_no_attention_is_measured_for_features_of_points():
    with networks_of("p3-sam").lease(Component.SEGMENTER) as network:
        assert not [each for each in network.modules() if isinstance(each, ChosenAttention)]


def test_8_bits_leave_the_features_of_points_alone(monkeypatch):
    monkeypatch.setenv("MESHKILN_WEIGHTS", "int8")
    monkeypatch.setattr(model_networks, "quantised", partial(quantised, fewest_weights=1))
    maker = networks_of("x-part")
    with maker.lease(Component.CONDITIONER) as network:
        rounded = rounded_in(network)
        assert rounded
        assert not [name for name in rounded if name.startswith("features.")]
    with maker.lease(Component.DENOISER) as network:
        assert rounded_in(network)
    finder = networks_of("p3-sam")
    assert finder.weights.title == "float32"
    with finder.lease(Component.SEGMENTER) as network:
        assert not rounded_in(network)


def test_bf16_is_for_all_but_features_and_decoder(monkeypatch):
    monkeypatch.setenv("MESHKILN_PRECISION", "bf16")
    maker = networks_of("x-part")
    with maker.lease(Component.CONDITIONER) as network:
        assert {each.dtype for each in network.features.parameters()} == {torch.float32}
        assert {each.dtype for each in network.part_encoder.parameters()} == {torch.bfloat16}
    with maker.lease(Component.VAE) as network:
        assert {each.dtype for each in network.parameters()} == {torch.float32}


def test_a_model_is_refused_until_it_is_here_and_its_licence_accepted(tmp_path):
    (tmp_path / "data" / "models" / "accepted_licences.json").unlink()
    with pytest.raises(LicenceNotAccepted, match="3D-Part"):
        networks_of("p3-sam")
    (tmp_path / "own" / "Hunyuan3D-Part" / "model" / "model.safetensors").unlink()
    with pytest.raises(WeightsMissing, match=r"model/model\.safetensors"):
        networks_of("x-part")
