from __future__ import annotations

import json
import os
import pickle
import struct
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from backend.errors import WeightsDamaged, WeightsMissing, WeightsUnsafe
from backend.models.checkpoints.reading import ComponentTensors, open_tensors
from tests.models.checkpoints.tiny_checkpoints import tiny_state, write_state

TENSORS = {
    "model.a": torch.arange(6.0).reshape(2, 3),
    "model.b.c": torch.ones(2, dtype=torch.float16),
    "vae.a": torch.zeros(1, dtype=torch.bfloat16),
}


class _Payload:
    """Makes a folder when it is unpickled by who trusts the file."""

    def __init__(self, mark):
        self._mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self._mark),)


@pytest.fixture(params=["m.safetensors", "m.ckpt", "m.pth"])
def path(request, tmp_path):
    write_state(tmp_path / request.param, TENSORS)
    return tmp_path / request.param


def test_tensors_of_one_component_by_their_published_names(path):
    file = open_tensors(path)
    assert set(file.entries) == set(TENSORS)
    denoiser = ComponentTensors(file, ("model.",))
    assert sorted(denoiser) == ["a", "b.c"]
    assert denoiser.entries["b.c"].shape == (2,)
    assert denoiser.entries["b.c"].dtype == "F16"
    assert torch.equal(denoiser["a"], TENSORS["model.a"])
    assert denoiser["b.c"].dtype is torch.float16
    cast = ComponentTensors(file, ("none.", "vae."), "x.", torch.float32)
    assert {name: cast[name].dtype for name in cast} == {"x.a": torch.float32}


def test_only_what_is_asked_for_is_read(path, monkeypatch):
    file = open_tensors(path)
    read = []
    monkeypatch.setattr(file, "read", lambda name: read.append(name) or TENSORS[name])
    part = ComponentTensors(file, ("vae.",))
    assert len(part) == 1
    assert part.entries["a"].shape == (1,)
    assert read == []
    assert torch.equal(part["a"], TENSORS["vae.a"])
    assert read == ["vae.a"]


def test_weights_stay_mapped_to_the_file(path):
    """Reading must not copy: what a tensor shows comes from the file's pages."""
    mapped = open_tensors(path).read("model.a")
    maps = Path("/proc/self/maps").read_text().splitlines()
    ranges = [line.split()[0].split("-") for line in maps if line.endswith(path.name)]
    place = mapped.data_ptr()
    assert any(int(first, 16) <= place < int(last, 16) for first, last in ranges)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_a_file_that_is_cut_off(tmp_path, share):
    for name in ("m.safetensors", "m.ckpt"):
        path = tmp_path / name
        write_state(path, tiny_state("pipeline20"))
        os.truncate(path, int(path.stat().st_size * share))
        with pytest.raises(WeightsDamaged, match=name):
            open_tensors(path)


def test_a_file_that_grew(tmp_path):
    path = tmp_path / "m.safetensors"
    write_state(path, TENSORS)
    with path.open("ab") as file:
        file.write(b"more")
    with pytest.raises(WeightsDamaged, match="4 bytes"):
        open_tensors(path)


@pytest.mark.parametrize(
    "head",
    [
        {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}},
        {"a": {"dtype": "F32", "shape": [1]}},
        {"a": {"dtype": "F32", "shape": ["x"], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4_000_000_000]}},
        {"a": 1},
        [1],
    ],
)
def test_a_head_that_lies(tmp_path, head):
    text = json.dumps(head).encode()
    path = tmp_path / "m.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"\0\0\0\0")
    with pytest.raises(WeightsDamaged, match="damaged"):
        open_tensors(path)


@pytest.mark.parametrize("name", ["m.safetensors", "m.ckpt", "m.pth"])
def test_noise_and_nothing(tmp_path, name):
    with pytest.raises(WeightsMissing, match=name):
        open_tensors(tmp_path / name)
    for content in (b"", b"\x80", b"\x80\x04garbage", b"PK\x03\x04", os.urandom(4096)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(WeightsDamaged, match=name):
            open_tensors(tmp_path / name)


def test_a_kind_of_file_that_is_not_read(tmp_path):
    (tmp_path / "m.bin").write_bytes(b"x")
    with pytest.raises(WeightsDamaged, match=r"\.bin"):
        open_tensors(tmp_path / "m.bin")


@pytest.mark.parametrize("kind", ["torch", "old torch", "plain pickle", "tensor beside it"])
def test_a_pickle_with_a_payload_is_refused_and_never_run(tmp_path, kind):
    mark, path = tmp_path / "ran", tmp_path / "m.ckpt"
    content = {"model": {"a": _Payload(mark)}}
    if kind == "tensor beside it":
        content["model"] |= {"b": torch.ones(2)}
    if kind == "plain pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=kind != "old torch")
    with pytest.raises(WeightsUnsafe, match=r"mkdir") as failure:
        open_tensors(path)
    assert not mark.exists()
    assert "weights_only" not in failure.value.detail + failure.value.advice
    pickle.loads(pickle.dumps(content))  # the payload works on who trusts it
    assert mark.is_dir()


def test_a_whole_module_is_refused(tmp_path):
    torch.save({"model": torch.nn.Linear(1, 1)}, tmp_path / "m.ckpt")
    with pytest.raises(WeightsUnsafe, match="Linear"):
        open_tensors(tmp_path / "m.ckpt")


def test_an_old_pickle_of_tensors_is_read(tmp_path):
    torch.save({"vae": {"a": torch.ones(2)}}, tmp_path / "m.ckpt",
               _use_new_zipfile_serialization=False)  # fmt: skip
    assert torch.equal(open_tensors(tmp_path / "m.ckpt").read("vae.a"), torch.ones(2))


def test_values_beside_the_tensors_are_left_out(tmp_path):
    torch.save({"epoch": 3, "vae": {"a": torch.ones(2), "note": "x"}}, tmp_path / "m.ckpt")
    assert set(open_tensors(tmp_path / "m.ckpt").entries) == {"vae.a"}
    torch.save({"epoch": 3}, tmp_path / "m.ckpt")
    with pytest.raises(WeightsDamaged, match="no tensors"):
        open_tensors(tmp_path / "m.ckpt")


def test_an_archive_of_something_else(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.ckpt", "w") as archive:
        archive.writestr("readme", "no weights")
    with pytest.raises(WeightsDamaged):
        open_tensors(tmp_path / "m.ckpt")


def test_a_type_of_numbers_that_we_do_not_know_is_told_not_guessed(tmp_path):
    save_file({"model.a": torch.zeros(4, dtype=torch.complex64)}, tmp_path / "m.safetensors")
    assert open_tensors(tmp_path / "m.safetensors").entries["model.a"].dtype == "C64"
