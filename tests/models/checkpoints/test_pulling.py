from __future__ import annotations

import os
import shutil
import sys

import pytest

from backend.errors import HubUnreachable, PackageMissing, StorageFull, WeightsDamaged
from backend.models.checkpoints.catalogue import model_of
from backend.models.checkpoints.finding import find_model
from backend.models.checkpoints.hub import HubFile, HubListing, HuggingFaceHub
from backend.models.checkpoints.opening import described
from backend.models.checkpoints.places import Origin
from backend.models.checkpoints.pull_record import read_record, sha256_of
from backend.models.checkpoints.pulling import pull, wanted_files
from backend.models.checkpoints.verify import FileState, verify
from tests.models.checkpoints.local_hub import COMMIT, local_hub
from tests.models.checkpoints.tiny_checkpoints import write_tiny_checkpoint

FIRST, TURBO, LATER = (model_of(f"hunyuan3d-{name}") for name in ("2.0", "2.0-turbo", "2.1"))


@pytest.fixture
def published(tmp_path):
    """The files of a repository, with more than inference needs."""
    weights = write_tiny_checkpoint(tmp_path / "made")
    folder = FIRST.denoiser_folder
    return {
        f"{folder}/config.yaml": (tmp_path / "made" / "config.yaml").read_bytes(),
        f"{folder}/model.fp16.safetensors": weights.read_bytes(),
        f"{folder}/model.fp16.ckpt": os.urandom(5000),
        f"{folder}/model.safetensors": os.urandom(5000),
        "hunyuan3d-paint-v2-0/unet.bin": os.urandom(5000),
        "LICENSE": b"text",
        "README.md": b"text",
    }


@pytest.fixture
def hub(published):
    with local_hub(FIRST.repository, published) as running:
        yield running


@pytest.fixture
def client(hub):
    return HuggingFaceHub(hub.endpoint, shows_progress=False)


WANTED = {
    "LICENSE",
    f"{FIRST.denoiser_folder}/config.yaml",
    f"{FIRST.denoiser_folder}/model.fp16.safetensors",
}


def test_only_what_inference_needs_is_pulled_and_recorded(hub, client, places, clock, published):
    folder = places.own_folder / FIRST.id
    said = []
    record = pull(FIRST, folder, client, clock, said.append)
    assert {name for name, _ in hub.sent} == WANTED
    assert record.revision == COMMIT
    assert record.at == "2026-11-21T12:00:00.000Z"
    assert {file.path for file in record.files} == WANTED
    for file in record.files:
        assert (folder / file.path).read_bytes() == published[file.path]
        assert sha256_of(folder / file.path) == file.sha256
    assert read_record(folder) == record
    assert any("GB" in words for words in said)
    found = find_model(FIRST, places)
    assert (found.origin, found.is_complete) == (Origin.OWN_FOLDER, True)
    result = verify(described(found), record, found.root)
    assert result.is_good
    assert {check.state for check in result.files} == {FileState.SAME}


def test_a_second_pull_gets_nothing_again(hub, client, tmp_path, clock):
    pull(FIRST, tmp_path / "m", client, clock)
    hub.sent.clear()
    pull(FIRST, tmp_path / "m", client, clock)
    assert hub.sent == []


def test_a_pull_goes_on_where_it_was_cut_off(hub, client, tmp_path, clock, published, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 10_000)
    monkeypatch.setattr("time.sleep", lambda _: None)
    hub.cut_at = 65_000
    pull(FIRST, tmp_path / "m", client, clock)
    large = f"{FIRST.denoiser_folder}/model.fp16.safetensors"
    starts = [first for name, first in hub.sent if name == large]
    assert starts == [0, 60_000]
    assert (tmp_path / "m" / large).read_bytes() == published[large]


@pytest.mark.parametrize("name", sorted(WANTED))
def test_a_file_that_is_not_what_the_hub_says_is_deleted(
    hub, client, tmp_path, clock, published, name
):
    content = bytearray(published[name])
    hub.said[name] = bytes(content)
    content[-1] ^= 1
    hub.files[name] = bytes(content)
    with pytest.raises(WeightsDamaged, match="checksum"):
        pull(FIRST, tmp_path / "m", client, clock)
    assert not (tmp_path / "m" / name).exists()
    assert read_record(tmp_path / "m") is None


def test_files_that_change_later_are_noticed(client, places, clock):
    folder = places.own_folder / FIRST.id
    record = pull(FIRST, folder, client, clock)
    config = folder / FIRST.denoiser_folder / "config.yaml"
    config.write_text(config.read_text() + "\n# changed\n")
    (folder / "LICENSE").unlink()
    result = verify(described(find_model(FIRST, places)), record, folder)
    states = {check.path: check.state for check in result.files}
    assert states["LICENSE"] is FileState.MISSING
    assert states[f"{FIRST.denoiser_folder}/config.yaml"] is FileState.CHANGED
    assert not result.is_good


def test_nobody_answers(tmp_path, clock):
    client = HuggingFaceHub("http://127.0.0.1:9", shows_progress=False)
    with pytest.raises(HubUnreachable, match=FIRST.repository) as failure:
        pull(FIRST, tmp_path / "m", client, clock)
    assert "connection" in failure.value.advice
    assert not (tmp_path / "m").exists()


def test_a_repository_that_is_not_there(client, tmp_path, clock):
    with pytest.raises(HubUnreachable, match=r"tencent/Hunyuan3D-2\.1"):
        pull(LATER, tmp_path / "m", client, clock)


def test_the_disk_is_looked_at_first(hub, client, tmp_path, clock, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 10**6))
    with pytest.raises(StorageFull, match="GB free"):
        pull(FIRST, tmp_path / "m", client, clock)
    assert hub.sent == []


def test_without_the_hubs_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(PackageMissing, match="huggingface_hub") as failure:
        HuggingFaceHub()
    assert "requirements-gpu.txt" in failure.value.advice


def _listing(model, *paths):
    files = tuple(HubFile(path, 1, None, None) for path in paths)
    return HubListing(model.repository, COMMIT, files)


def test_a_pickle_is_pulled_only_where_there_is_nothing_else():
    folder = LATER.denoiser_folder
    listing = _listing(LATER, f"{folder}/config.yaml", f"{folder}/model.fp16.ckpt")
    assert [file.path for file in wanted_files(LATER, listing)][-1].endswith(".ckpt")


def test_the_lighter_vae_comes_along():
    paths = [
        f"{folder}/{name}"
        for folder in (TURBO.denoiser_folder, TURBO.vae_folder)
        for name in ("config.yaml", "model.fp16.safetensors", "model.fp16.ckpt")
    ]
    wanted = [file.path for file in wanted_files(TURBO, _listing(TURBO, *paths))]
    assert wanted == [path for path in paths if not path.endswith(".ckpt")]


def test_a_file_that_was_moved_is_named():
    with pytest.raises(HubUnreachable, match=r"hunyuan3d-dit-v2-1/model\.ckpt"):
        wanted_files(LATER, _listing(LATER, f"{LATER.denoiser_folder}/config.yaml"))


def test_a_record_that_cannot_be_read(tmp_path):
    (tmp_path / "pulled.json").write_text("{")
    with pytest.raises(WeightsDamaged, match=r"pulled\.json"):
        read_record(tmp_path)
