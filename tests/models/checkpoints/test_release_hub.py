"""A file that is published outside of the model hub."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from backend.errors import HubUnreachable, WeightsDamaged
from backend.models.checkpoints.catalogue import Release, model_of
from backend.models.checkpoints.pull_record import read_record
from backend.models.checkpoints.pulling import pull
from backend.models.checkpoints.release_hub import PARTIAL_SUFFIX, ReleaseHub
from tests.models.checkpoints.local_hub import COMMIT, local_hub

NAME = "RealESRGAN_x4plus.pth"
CONTENT = bytes(range(256)) * 1000


@pytest.fixture
def running():
    with local_hub("any", {NAME: CONTENT}) as hub:
        yield hub


def release(running, **changes):
    first = Release(
        f"{running.endpoint}/any/resolve/{COMMIT}/{NAME}",
        "v1",
        len(CONTENT),
        hashlib.sha256(CONTENT).hexdigest(),
    )
    return replace(first, **changes)


def upscaler(folder, clock, published):
    model = replace(model_of("realesrgan-x4plus"), release=published)
    return pull(model, folder, ReleaseHub(published), clock)


def test_it_is_pulled_checked_and_recorded(running, tmp_path, clock):
    record = upscaler(tmp_path, clock, release(running))
    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert (record.revision, record.repository) == ("v1", "xinntao/Real-ESRGAN")
    assert read_record(tmp_path) == record
    assert not list(tmp_path.glob(f"*{PARTIAL_SUFFIX}"))
    upscaler(tmp_path, clock, release(running))
    assert running.sent == [(NAME, 0)]


def test_it_goes_on_where_it_was_cut_off(running, tmp_path, clock):
    running.cut_at = 150_000
    with pytest.raises(HubUnreachable, match=NAME):
        upscaler(tmp_path, clock, release(running))
    assert not (tmp_path / NAME).exists()
    upscaler(tmp_path, clock, release(running))
    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert [name for name, _ in running.sent] == [NAME, NAME]
    assert 0 < running.sent[1][1] <= 150_000


def test_another_file_than_published_is_deleted(running, tmp_path, clock):
    with pytest.raises(WeightsDamaged, match="checksum"):
        upscaler(tmp_path, clock, release(running, sha256="0" * 64))
    assert not (tmp_path / NAME).exists()


def test_an_address_that_does_not_answer_is_told(running, tmp_path, clock):
    gone = release(running, url=f"{running.endpoint}/any/resolve/{COMMIT}/gone.pth")
    with pytest.raises(HubUnreachable) as failure:
        ReleaseHub(gone).download(ReleaseHub(gone).listing("any"), ["gone.pth"], tmp_path)
    assert str(tmp_path) in failure.value.advice
    assert "gone.pth" in failure.value.detail
