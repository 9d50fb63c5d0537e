from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from backend.errors import StorageFull
from backend.jobs.artefacts import ArtefactStore, sha256_of

JOB = "01m7y2xs5c0000000000000000"
OTHER = "01m7y2xs5c0000000000000001"


@dataclass
class Made:
    name: str
    path: Path
    format: str = "glb"
    role: str = "model"


@pytest.fixture
def files(tmp_path):
    return ArtefactStore(tmp_path / "files", disk_floor_mb=1)


def make(files, job=JOB, attempt=1, name="model.glb", data=b"glb"):
    path = files.work_dir(job, attempt) / name
    path.write_bytes(data)
    return Made(name, path)


def test_published_file_has_size_and_hash(files):
    (record,) = files.publish(JOB, 1, [make(files)])
    path = files.output_path(JOB, 1, "model.glb")
    assert (record.bytes, record.sha256) == (3, sha256_of(path))
    assert path.read_bytes() == b"glb"


def test_a_file_of_one_job_is_given_to_another_without_a_copy(files, monkeypatch):
    files.put_input(JOB, "mesh.glb", b"four")
    mine = files.input_path(JOB, "mesh.glb")
    files.give_input(OTHER, "mesh.glb", mine)
    given = files.input_path(OTHER, "mesh.glb")
    assert given.samefile(mine)
    assert (files.size_bytes(JOB), files.size_bytes(OTHER)) == (2, 2)
    files.remove(JOB)
    assert given.read_bytes() == b"four"
    assert files.size_bytes(OTHER) == 4

    def refuse(*_):
        raise OSError("two names for a file are not known here")

    monkeypatch.setattr(os, "link", refuse)
    files.give_input(JOB, "mesh.glb", given)
    assert files.input_path(JOB, "mesh.glb").read_bytes() == b"four"


def test_a_stale_attempt_cannot_touch_the_winner(files):
    """A worker that lost its lease publishes after the attempt that won."""
    slow = make(files, attempt=1, data=b"stale")
    files.publish(JOB, 2, [make(files, attempt=2, data=b"new")])
    files.publish(JOB, 1, [slow])
    assert files.output_path(JOB, 2, "model.glb").read_bytes() == b"new"
    files.withdraw(JOB, 1)
    assert files.output_path(JOB, 1, "model.glb") is None
    assert files.output_path(JOB, 2, "model.glb")


@pytest.mark.parametrize(
    "name",
    ["../input/image.png", "..", "/etc/passwd", "a/b.png", "x\x00.png", "", ".env", "A.PNG", "x"],
)
def test_only_our_own_names_are_found(files, name):
    files.put_input(JOB, "image.png", b"x")
    files.publish(JOB, 1, [make(files)])
    assert files.output_path(JOB, 1, name) is None
    assert files.live_path(JOB, 1, name) is None
    with pytest.raises(ValueError, match="name of ours"):
        files.put_input(JOB, name, b"x")


@pytest.mark.parametrize("job_id", ["..", "../../../../etc/passwd/xxxx", "", "short"])
def test_only_our_own_ids_have_a_folder(files, job_id):
    with pytest.raises(ValueError, match="job id"):
        files.output_path(job_id, 1, "model.glb")


def test_failed_write_leaves_nothing_behind(files, monkeypatch):
    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageFull):
        files.put_input(JOB, "image.png", b"x" * 1000)
    assert [p for p in files.root.rglob("*") if p.is_file()] == []
    assert files.input_path(JOB, "image.png") is None


def test_below_the_floor_nothing_is_taken(files, monkeypatch):
    monkeypatch.setattr(ArtefactStore, "free_mb", lambda _self: 0)
    with pytest.raises(StorageFull):
        files.put_input(JOB, "image.png", b"x")
    with pytest.raises(StorageFull):
        files.work_dir(JOB, 1)


def test_files_of_a_running_attempt_can_be_seen_and_dropped(files):
    make(files, name="preview.glb")
    assert files.live_path(JOB, 1, "preview.glb")
    assert files.live_path(JOB, 2, "preview.glb") is None
    files.drop_attempt(JOB, 1)
    assert files.live_path(JOB, 1, "preview.glb") is None


def test_inputs_are_copied_or_their_loss_is_told(files):
    files.put_input(JOB, "image.png", b"x")
    assert files.copy_inputs(JOB, OTHER, ["image.png"])
    files.remove_inputs(JOB)
    assert files.input_path(OTHER, "image.png").read_bytes() == b"x"
    assert not files.copy_inputs(JOB, OTHER, ["image.png"])


def test_removing_a_job_leaves_the_others(files):
    files.put_input(JOB, "image.png", b"x")
    files.put_input(OTHER, "image.png", b"x")
    assert set(files.job_ids()) == {JOB, OTHER}
    files.remove(JOB)
    assert set(files.job_ids()) == {OTHER}
    assert files.size_bytes(OTHER) == 1


def test_every_attempt_that_left_something_is_named_and_can_be_forgotten(files):
    files.put_input(JOB, "image.png", b"x")
    make(files, attempt=1)
    files.publish(JOB, 2, [make(files, attempt=2)])
    assert files.attempts() == {(JOB, 1), (JOB, 2)}
    files.forget_attempt(JOB, 1)
    files.drop_attempt(JOB, 2)
    assert files.attempts() == {(JOB, 2)}
    assert files.output_path(JOB, 2, "model.glb")
    assert files.input_path(JOB, "image.png")
