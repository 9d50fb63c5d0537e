from __future__ import annotations

import shutil

import pytest
import torch

from backend.errors import StorageFull, WeightsDamaged, WeightsMissing, WeightsUnsafe
from backend.models.checkpoints import converting
from backend.models.checkpoints.checkpoint import Component
from backend.models.checkpoints.components import load_component
from backend.models.checkpoints.converting import convert
from backend.models.checkpoints.hunyuan_description import hunyuan_checkpoint
from backend.models.checkpoints.reading import open_tensors
from tests.models.checkpoints.tiny_checkpoints import (
    TinyFamily,
    tiny_state,
    write_state,
    write_tiny_checkpoint,
)


def _same_bits(one, other):
    return one.dtype == other.dtype and torch.equal(
        one.reshape(-1).view(torch.uint8), other.reshape(-1).view(torch.uint8)
    )


def test_a_converted_model_is_the_same_and_loaded_in_preference(tmp_path):
    source = write_tiny_checkpoint(tmp_path, TinyFamily.PLAIN, weights="model.fp16.ckpt")
    before = load_component(hunyuan_checkpoint(tmp_path), Component.DENOISER).state_dict()
    said = []
    done = convert(source, said.append)
    assert (done.is_new, done.target) == (True, tmp_path / "model.fp16.safetensors")
    assert len(said) == 2
    assert source.is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "config.yaml", "model.fp16.ckpt", "model.fp16.safetensors",
    ]  # fmt: skip
    written = open_tensors(done.target)
    state = tiny_state(TinyFamily.PLAIN)
    assert set(written.entries) == set(state)
    assert all(_same_bits(written.read(name), state[name]) for name in state)
    checkpoint = hunyuan_checkpoint(tmp_path)
    assert checkpoint.weight_files == (done.target,)
    after = load_component(checkpoint, Component.DENOISER).state_dict()
    assert all(_same_bits(before[name], after[name]) for name in before)


def test_it_is_done_once(tmp_path):
    source = tmp_path / "m.ckpt"
    write_state(source, {"vae.a": torch.ones(2)})
    target = convert(source).target
    first = target.stat()
    again = convert(source)
    assert (again.is_new, again.tensors) == (False, 1)
    assert target.stat().st_mtime_ns == first.st_mtime_ns


def test_numbers_that_compare_oddly_and_tensors_that_share_memory(tmp_path):
    base = torch.arange(12.0).reshape(3, 4)
    state = {
        "vae.nan": torch.tensor([float("nan"), -0.0, 0.0]),
        "vae.turned": base.T,
        "vae.part": base[1:],
        "vae.one": base,
        "vae.two": base,
        "vae.half": torch.ones(3, dtype=torch.bfloat16),
        "vae.number": torch.tensor(3.0),
        "vae.none": torch.zeros(0, 4),
    }
    write_state(tmp_path / "m.ckpt", state)
    file = open_tensors(convert(tmp_path / "m.ckpt").target)
    for name, tensor in state.items():
        assert file.read(name).shape == tensor.shape
        assert _same_bits(file.read(name), tensor.contiguous())


def test_who_may_read_the_pickle_may_read_the_new_file(tmp_path):
    write_state(tmp_path / "m.ckpt", {"vae.a": torch.ones(2)})
    (tmp_path / "m.ckpt").chmod(0o644)
    assert convert(tmp_path / "m.ckpt").target.stat().st_mode & 0o777 == 0o644


def test_a_pickle_with_more_than_tensors_is_not_converted(tmp_path):
    torch.save({"vae": {"a": torch.nn.Linear(1, 1)}}, tmp_path / "m.ckpt")
    with pytest.raises(WeightsUnsafe):
        convert(tmp_path / "m.ckpt")
    assert [path.name for path in tmp_path.iterdir()] == ["m.ckpt"]


def test_what_cannot_be_converted(tmp_path):
    with pytest.raises(WeightsMissing):
        convert(tmp_path / "m.ckpt")
    with pytest.raises(WeightsDamaged, match="no pickle"):
        convert(tmp_path / "m.safetensors")


def test_a_difference_leaves_nothing_behind(tmp_path, monkeypatch):
    write_state(tmp_path / "m.ckpt", {"vae.a": torch.ones(2)})
    monkeypatch.setattr(converting, "_is_same", lambda *_: False)
    with pytest.raises(WeightsDamaged, match="nothing was kept"):
        convert(tmp_path / "m.ckpt")
    assert [path.name for path in tmp_path.iterdir()] == ["m.ckpt"]


def test_a_disk_without_room(tmp_path, monkeypatch):
    write_state(tmp_path / "m.ckpt", {"vae.a": torch.ones(2)})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 0))
    with pytest.raises(StorageFull, match="GB free"):
        convert(tmp_path / "m.ckpt")


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    write_state(tmp_path / "m.ckpt", {"vae.a": torch.ones(2)})

    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    with pytest.raises(StorageFull, match="Permission denied"):
        convert(tmp_path / "m.ckpt")
