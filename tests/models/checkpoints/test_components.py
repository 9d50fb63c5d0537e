from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from backend.errors import (
    CheckpointConfigInvalid,
    JobCanceled,
    TensorMisshapen,
    TensorMissing,
    TensorUnexpected,
    UnknownTarget,
    WeightsDamaged,
)
from backend.models.attention import plain_attention
from backend.models.checkpoints.checkpoint import Component
from backend.models.checkpoints.components import check_component, load_component
from backend.models.checkpoints.hunyuan_description import hunyuan_checkpoint
from backend.models.checkpoints.reading import SafetensorsFile
from backend.models.checkpoints.verify import verify
from backend.progress import heeding
from tests.models.checkpoints.tiny_checkpoints import (
    GOLDEN,
    TinyFamily,
    tiny_state,
    write_tiny_checkpoint,
)
from tests.stopping_progress import StoppingProgress

POINT = {
    Component.DENOISER: "model.latent_in.weight",
    Component.VAE: "vae.post_kl.weight",
    Component.CONDITIONER: "conditioner.main_image_encoder.model.layernorm.weight",
}


@pytest.fixture
def written(tmp_path):
    """Write a tiny model with changes; returns its description."""

    def write(family=TinyFamily.FLUX, **options):
        write_tiny_checkpoint(tmp_path, family, **options)
        return hunyuan_checkpoint(tmp_path)

    return write


def test_reading_weights_stops_with_the_job_that_wants_them(written):
    """After a few tensors, not after the last."""
    checkpoint, progress = written(), StoppingProgress(at=4)
    with heeding(progress), pytest.raises(JobCanceled):
        load_component(checkpoint, Component.DENOISER, attend=plain_attention)
    assert progress.asked == 4


@pytest.mark.parametrize("weights", ["model.fp16.safetensors", "model.ckpt"])
@pytest.mark.parametrize("family", TinyFamily)
def test_every_component_of_every_family_is_loaded(written, family, weights):
    checkpoint = written(family, weights=weights)
    state = tiny_state(family)
    for component in POINT:
        module = load_component(checkpoint, component, attend=plain_attention)
        parameters = dict(module.named_parameters())
        assert parameters
        assert not module.training
        for tensor in (*parameters.values(), *module.buffers()):
            assert tensor.device.type == "cpu"
            assert not tensor.requires_grad
        # the sum of all numbers is the same however they are fused and permuted
        used = sum(each.double().sum() for each in parameters.values())
        unused = (
            "vae.encoder.",
            "vae.pre_kl.",
            "conditioner.main_image_encoder.model.embeddings.mask",
        )
        published = sum(
            each.double().sum()
            for name, each in state.items()
            if name.startswith(f"{component}.") and not name.startswith(unused)
        )
        torch.testing.assert_close(used, published, rtol=0, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_weights_are_cast_on_the_way(written, dtype):
    module = load_component(written(), Component.DENOISER, dtype=dtype)
    assert {each.dtype for each in module.parameters()} == {dtype}


def test_the_loaded_conditioner_computes_what_the_original_did(written):
    from safetensors.torch import load_file

    golden = load_file(GOLDEN / "pipeline20.safetensors")
    conditioner = load_component(written(), Component.CONDITIONER)
    context = conditioner(golden["mid.image"])
    torch.testing.assert_close(context, golden["mid.cond"][:1], atol=5e-5, rtol=0)


def test_the_attention_that_was_asked_for_is_used(written):
    calls = []

    def attend(q, k, v, scale=None):
        calls.append(q.shape)
        return plain_attention(q, k, v, scale)

    module = load_component(written(), Component.VAE, attend=attend)
    module.keys(torch.zeros(1, 16, 8))
    assert calls


@pytest.mark.parametrize("component", POINT)
def test_a_missing_tensor_is_named(written, component):
    checkpoint = written(change_state=lambda state: state.pop(POINT[component]))
    with pytest.raises(TensorMissing, match=POINT[component]) as failure:
        load_component(checkpoint, component)
    assert "model.fp16.safetensors" in failure.value.detail
    assert "models verify" in failure.value.advice
    for other in set(POINT) - {component}:
        load_component(checkpoint, other)


@pytest.mark.parametrize("component", POINT)
def test_a_wrong_shape_is_named(written, component):
    def change(state):
        state[POINT[component]] = torch.zeros(3, 3)

    with pytest.raises(TensorMisshapen, match=rf"{POINT[component]}.*\(3, 3\)"):
        load_component(written(change_state=change), component)


@pytest.mark.parametrize("component", POINT)
def test_an_unexpected_tensor_is_named(written, component):
    def change(state):
        state[f"{component}.spare"] = torch.zeros(3)

    with pytest.raises(TensorUnexpected, match=rf"{component}\.spare"):
        load_component(written(change_state=change), component)


def test_numbers_of_another_type_are_refused(written):
    def change(state):
        state[POINT[Component.DENOISER]] = state[POINT[Component.DENOISER]].to(torch.int8)

    with pytest.raises(TensorMisshapen, match="I8"):
        load_component(written(change_state=change), Component.DENOISER)


def test_a_component_that_is_not_in_the_file(written):
    def change(state):
        for name in [name for name in state if name.startswith("vae.")]:
            del state[name]

    with pytest.raises(TensorMissing, match=r"vae\."):
        load_component(written(change_state=change), Component.VAE)


def _vae_weights(checkpoint):
    """Copy the weights: those of a network stay mapped to the file, which is written anew."""
    network = load_component(checkpoint, Component.VAE)
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def test_the_encoder_of_the_vae_may_be_there_or_not(written):
    def change(state):
        for name in [name for name in state if name.startswith(("vae.encoder.", "vae.pre_kl."))]:
            del state[name]

    whole, without = (_vae_weights(written(**given)) for given in ({}, {"change_state": change}))
    assert whole.keys() == without.keys()
    assert all(torch.equal(whole[name], without[name]) for name in whole)


def test_a_model_for_several_views_may_hold_the_table_of_views(written):
    def several(config):
        config["conditioner"]["params"]["main_image_encoder"]["type"] = "DinoImageEncoderMV"

    def add(state):
        state["conditioner.main_image_encoder.view_embed"] = torch.zeros(4, 24)

    checkpoint = written(change_config=several, change_state=add)
    assert load_component(checkpoint, Component.CONDITIONER)
    with pytest.raises(TensorUnexpected, match="view_embed"):
        load_component(written(change_state=add), Component.CONDITIONER)


@pytest.mark.parametrize(
    ("section", "entry", "value"),
    [("model", "hidden_size", None), ("model", "num_heads", 3), ("model", "num_heads", 0),
     ("model", "depth", "many"), ("vae", "width", None), ("vae", "scale_factor", None),
     ("vae", "heads", 0)],
)  # fmt: skip
def test_a_description_that_makes_no_network(written, section, entry, value):
    def change(config):
        if value is None:
            del config[section]["params"][entry]
        else:
            config[section]["params"][entry] = value

    checkpoint = written(change_config=change)
    with pytest.raises((CheckpointConfigInvalid, TensorMisshapen)):
        load_component(checkpoint, Component(section))


def _write_lighter_vae(folder, *, prefix, says_so):
    """Write a VAE whose decoder is lighter, in a folder of its own."""
    from safetensors.torch import load_file

    golden = load_file(GOLDEN / "vae20_turbo_like.safetensors")
    state = {
        prefix + name.removeprefix("w."): each
        for name, each in golden.items()
        if name.startswith("w.")
    }
    params = {
        "num_latents": 24, "embed_dim": 8, "width": 64, "heads": 4, "num_decoder_layers": 2,
        "num_freqs": 8, "include_pi": False, "qkv_bias": False, "qk_norm": True,
        "scale_factor": 0.9990943042622529,
    }  # fmt: skip
    if says_so:
        params |= {
            "geo_decoder_downsample_ratio": 2,
            "geo_decoder_mlp_expand_ratio": 1,
            "geo_decoder_ln_post": False,
        }
    section = {"target": "hy3dgen.shapegen.models.ShapeVAE", "params": params}
    import yaml

    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(section))
    save_file(state, folder / "model.fp16.safetensors")
    return golden


@pytest.mark.parametrize("prefix", ["", "vae."])
@pytest.mark.parametrize("says_so", [True, False])
def test_how_light_a_vae_is_shows_in_its_tensors(tmp_path, prefix, says_so):
    write_tiny_checkpoint(tmp_path / "dit", TinyFamily.FLUX_TURBO)
    golden = _write_lighter_vae(tmp_path / "vae", prefix=prefix, says_so=says_so)
    checkpoint = hunyuan_checkpoint(tmp_path / "dit", tmp_path / "vae")
    vae = load_component(checkpoint, Component.VAE)
    logits = vae(golden["in.z"], golden["in.queries"])
    assert logits.shape[:2] == golden["out.logits"].shape[:2]
    torch.testing.assert_close(logits.flatten(), golden["out.logits"].flatten(), atol=2e-5, rtol=0)
    assert verify(checkpoint).is_good


def test_a_lighter_vae_with_a_hole_is_refused(tmp_path):
    write_tiny_checkpoint(tmp_path / "dit", TinyFamily.FLUX_TURBO)
    _write_lighter_vae(tmp_path / "vae", prefix="", says_so=False)
    from safetensors.torch import load_file

    path = tmp_path / "vae" / "model.fp16.safetensors"
    state = {name: each.clone() for name, each in load_file(path).items()}
    del state["geo_decoder.query_proj.bias"]
    save_file(state, path)
    with pytest.raises((TensorMissing, TensorMisshapen)):
        load_component(hunyuan_checkpoint(tmp_path / "dit", tmp_path / "vae"), Component.VAE)


class TestVerify:
    @pytest.mark.parametrize("family", TinyFamily)
    def test_a_good_model(self, written, family):
        result = verify(written(family))
        assert result.is_good
        assert result.tensors == len(tiny_state(family))
        assert result.files is None

    def test_all_defects_at_once(self, written):
        def change(state):
            del state["model.latent_in.weight"]
            state["vae.post_kl.bias"] = torch.zeros(5)
            state["conditioner.spare"] = torch.zeros(1)

        result = verify(written(change_state=change))
        assert not result.is_good
        assert [(each.name, str(each.defect)) for each in result.findings] == [
            ("model.latent_in.weight", "missing"),
            ("vae.post_kl.bias", "wrong shape"),
            ("conditioner.spare", "unexpected"),
        ]

    def test_names_and_shapes_are_compared_without_reading_anything(self, written, monkeypatch):
        checkpoint = written()
        monkeypatch.delattr(SafetensorsFile, "read")
        for component, source in checkpoint.components.items():
            assert check_component(checkpoint, component, SafetensorsFile(source.file)) == []

    def test_a_damaged_file_is_told_and_does_not_end_the_check(self, written, tmp_path):
        checkpoint = written()
        path = tmp_path / "model.fp16.safetensors"
        path.write_bytes(path.read_bytes()[:-1])
        result = verify(checkpoint)
        assert [type(error) for error in result.errors] == [WeightsDamaged]
        assert not result.is_good

    def test_a_network_that_is_not_built(self, written):
        from dataclasses import replace

        from backend.models.checkpoints.checkpoint import Architecture

        checkpoint = written()
        vae = replace(checkpoint.components[Component.VAE], architecture=Architecture.TRIPOSG_VAE)
        other = replace(checkpoint, components={**checkpoint.components, Component.VAE: vae})
        assert [type(error) for error in verify(other).errors] == [UnknownTarget]
