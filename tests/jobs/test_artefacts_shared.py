"""Two machines, one store: each has its own folder of copies."""

from __future__ import annotations

import threading
import uuid
from dataclasses import replace
from pathlib import Path

import fsspec
import pytest

from backend.errors import StartFailed, StorageFull, StoreUnavailable
from backend.jobs.artefacts import ArtefactStore, open_artefacts
from backend.jobs.artefacts.remote_folder import RemoteFolder, open_remote_folder
from backend.jobs.artefacts.shared_store import SharedArtefacts
from backend.jobs.retention import Retention
from backend.settings import Settings
from tests.jobs.test_artefacts import JOB, OTHER, make


@pytest.fixture(params=["memory", "file"])
def url(request, tmp_path):
    if request.param == "file":
        return (tmp_path / "shared").as_uri()
    return f"memory://{uuid.uuid4().hex}"


@pytest.fixture
def machine(tmp_path, url, clock):
    """Make the store of a machine, by name."""

    def made(name, **options):
        return SharedArtefacts(
            tmp_path / name, open_remote_folder(url), disk_floor_mb=1, clock=clock, **options
        )

    return made


@pytest.fixture
def here(machine):
    return machine("here")


@pytest.fixture
def there(machine):
    return machine("there")


@pytest.fixture
def stored(url):
    """Everything in the store, by key."""

    def ask():
        return sorted(open_remote_folder(url).keys())

    return ask


def publish(files, attempt=1, data=b"glb", job=JOB):
    return files.publish(job, attempt, [make(files, job, attempt, data=data)])


def test_an_upload_is_read_on_another_machine(here, there):
    here.put_input(JOB, "image.png", b"picture")
    assert there.input_path(JOB, "image.png").read_bytes() == b"picture"
    assert there.input_path(JOB, "mask.png") is None
    assert there.input_path(JOB, "../image.png") is None


def test_what_is_given_from_another_job_is_read_on_another_machine(here, there):
    here.put_input(JOB, "mesh.glb", b"mesh")
    here.give_input(OTHER, "mesh.glb", here.input_path(JOB, "mesh.glb"))
    assert there.input_path(OTHER, "mesh.glb").read_bytes() == b"mesh"


def test_a_result_is_read_on_another_machine_and_then_from_its_copy(here, there, url):
    (record,) = publish(here)
    path = there.output_path(JOB, 1, "model.glb")
    assert path.read_bytes() == b"glb"
    assert path.is_relative_to(there.root)
    open_remote_folder(url).remove("00")
    assert there.output_path(JOB, 1, "model.glb").read_bytes() == b"glb"
    assert record.bytes == 3
    assert there.output_path(JOB, 2, "model.glb") is None


def test_a_stale_attempt_cannot_touch_the_winner(here, there):
    publish(there, 2, b"new")
    publish(here, 1, b"stale")
    here.withdraw(JOB, 1)
    assert here.output_path(JOB, 2, "model.glb").read_bytes() == b"new"
    assert there.output_path(JOB, 1, "model.glb") is None


def test_a_file_of_a_running_attempt_is_seen_elsewhere_only_when_offered(here, there, stored):
    made = make(here, name="preview.glb")
    assert there.live_path(JOB, 1, "preview.glb") is None
    here.offer(JOB, 1, made.path)
    assert there.live_path(JOB, 1, "preview.glb").read_bytes() == b"glb"
    here.drop_attempt(JOB, 1)
    assert stored() == []


def test_half_a_file_is_no_file(here, there, url, stored):
    """A machine that dies while it uploads leaves bytes, but no digest."""
    publish(here)
    filesystem, root = fsspec.core.url_to_fs(url)
    filesystem.rm(f"{root}/00/{JOB}/output-1/model.glb.sha256")
    filesystem.pipe_file(f"{root}/00/{JOB}/output-1/model.glb", b"g")
    assert there.output_path(JOB, 1, "model.glb") is None
    assert there.sizes() == {}
    assert there.attempts() == {(JOB, 1)}, "the janitor sees it all the same"


def test_damaged_bytes_are_not_handed_out(here, there, url):
    publish(here)
    filesystem, root = fsspec.core.url_to_fs(url)
    filesystem.pipe_file(f"{root}/00/{JOB}/output-1/model.glb", b"xxx")
    with pytest.raises(StoreUnavailable):
        there.output_path(JOB, 1, "model.glb")
    assert [path for path in there.root.rglob("*") if path.is_file()] == []


class Lossy(RemoteFolder):
    """Stores something else than it was given."""

    def _put(self, path, key):
        self._fs = _Truncating(self._fs)
        super()._put(path, key)


class _Truncating:
    def __init__(self, real):
        self._real = real

    def put_file(self, source, target):
        self._real.pipe_file(target, Path(source).read_bytes()[:-1])

    def __getattr__(self, name):
        return getattr(self._real, name)


def test_a_result_that_is_not_stored_whole_is_not_published(tmp_path, url, there, stored):
    filesystem, root = fsspec.core.url_to_fs(url, auto_mkdir=True)
    lossy = SharedArtefacts(tmp_path / "here", Lossy(filesystem, root), disk_floor_mb=1)
    with pytest.raises(StoreUnavailable):
        publish(lossy)
    assert there.output_path(JOB, 1, "model.glb") is None
    assert lossy.output_path(JOB, 1, "model.glb") is None
    assert stored() == []
    with pytest.raises(StoreUnavailable):
        lossy.put_input(JOB, "image.png", b"picture")
    assert lossy.input_path(JOB, "image.png") is None


def test_removing_removes_for_all_and_for_no_other_job(here, there, stored):
    here.put_input(JOB, "image.png", b"x")
    here.put_input(OTHER, "image.png", b"xy")
    publish(here)
    assert there.sizes() == {JOB: 4, OTHER: 2}
    there.remove_inputs(JOB)
    assert there.size_bytes(JOB) == 3
    there.remove(JOB)
    there.remove(JOB)
    assert list(here.job_ids()) == [OTHER]
    assert {key.split("/")[1] for key in stored()} == {OTHER}


def test_below_the_floor_nothing_is_taken(here, monkeypatch, stored):
    monkeypatch.setattr(ArtefactStore, "free_mb", lambda _self: 0)
    with pytest.raises(StorageFull):
        here.put_input(JOB, "image.png", b"x")
    assert stored() == []


def test_many_readers_at_once_get_the_whole_file(here, there):
    publish(here, data=b"x" * 3_000_000)
    together, sizes = threading.Barrier(8), []

    def read():
        together.wait()
        sizes.append(there.output_path(JOB, 1, "model.glb").stat().st_size)

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sizes == [3_000_000] * 8


class Away:
    """A filesystem that does not answer the first times."""

    def __init__(self, real, failures):
        self._real, self.failures = real, failures
        self.protocol = real.protocol

    def __getattr__(self, name):
        if self.failures:
            self.failures -= 1
            raise ConnectionError("nobody there")
        return getattr(self._real, name)


def test_who_has_patience_gets_over_an_outage(tmp_path, url, monkeypatch, there):
    monkeypatch.setattr("backend.jobs.artefacts.remote_folder.FIRST_PAUSE_S", 0.01)
    filesystem, root = fsspec.core.url_to_fs(url, auto_mkdir=True)
    patient = RemoteFolder(Away(filesystem, 3), root, patience_s=30)
    here = SharedArtefacts(tmp_path / "here", patient, disk_floor_mb=1)
    publish(here)
    assert there.output_path(JOB, 1, "model.glb")
    hasty = SharedArtefacts(tmp_path / "x", RemoteFolder(Away(filesystem, 1), root))
    with pytest.raises(StoreUnavailable):
        hasty.output_path(JOB, 1, "model.glb")


def test_old_copies_go_and_are_fetched_again(here, machine, clock):
    there = machine("there", idle_s=3600.0)
    publish(here)
    path = there.output_path(JOB, 1, "model.glb")
    clock.forward(minutes=50)
    there.output_path(JOB, 1, "model.glb")
    clock.forward(minutes=50)
    there.cache.trim()
    assert path.exists(), "it was used within the hour"
    clock.forward(minutes=61)
    there.cache.trim()
    assert not path.exists()
    assert there.output_path(JOB, 1, "model.glb") == path


def test_above_its_size_the_cache_drops_the_oldest_but_nothing_in_use(here, machine, clock):
    there = machine("there", cache_gb=1000 / 2**30)
    publish(here, data=b"x" * 900)
    publish(here, data=b"x" * 900, job=OTHER)
    old = there.output_path(JOB, 1, "model.glb")
    new = there.output_path(OTHER, 1, "model.glb")
    there.cache.trim()
    assert old.exists(), "both may be on their way to a client"
    clock.forward(minutes=3)
    there.output_path(OTHER, 1, "model.glb")
    there.cache.trim()
    assert not old.exists()
    assert new.exists()


def test_the_folder_of_a_running_attempt_is_left_alone(here, clock):
    here.cache.note_use(make(here).path.parent.parent)
    here.cache._max_bytes = 0
    clock.forward(minutes=10)
    here.cache.trim()
    assert here.live_path(JOB, 1, "model.glb")


@pytest.fixture
def shared_service(service, here):
    service.artefacts = here
    return service


@pytest.fixture
def sweep(shared_service):
    def run(**values):
        settings = replace(shared_service.settings, **values)
        Retention(settings, shared_service.store, shared_service.artefacts).sweep()

    return run


def submit(service):
    new = service.prepare("image_to_3d", {"preset": "draft"}, "doll")
    return service.submit(new, {"image.png": b"x"})[0]


def test_the_janitor_removes_what_a_killed_worker_left(shared_service, there, sweep, stored):
    job = submit(shared_service)
    (lost,) = shared_service.claims.claim("gpu", "elsewhere:1:1")
    publish(there, lost.attempt, job=job.id)  # and dies before the row says so
    shared_service.clock.forward(minutes=5)
    shared_service.claims.release_lost()
    (held,) = shared_service.claims.claim("gpu", "elsewhere:2:2")
    records = publish(there, held.attempt, b"new", job=job.id)
    sweep()
    assert there.attempts() >= {(job.id, 2)}, "an attempt that runs is left alone"
    assert shared_service.claims.finish(held, records, {})
    sweep()
    assert {key.split("/")[2] for key in stored()} == {"input", "output-2"}


def test_results_and_uploads_expire_for_all(shared_service, sweep, stored, clock):
    job = submit(shared_service)
    (held,) = shared_service.claims.claim("gpu", "elsewhere:1:1")
    shared_service.claims.finish(held, publish(shared_service.artefacts, 1, job=job.id), {})
    clock.forward(days=2)
    sweep()
    assert {key.split("/")[2] for key in stored()} == {"output-1"}
    sweep(keep_results_gb=0)
    assert stored() == []
    assert shared_service.store.get(job.id).status == "expired"


def test_files_without_a_row_go_after_an_hour(shared_service, there, sweep, stored, clock):
    there.put_input(OTHER, "image.png", b"x")
    clock.moment = clock.moment.now(tz=clock.moment.tzinfo)
    sweep()
    assert stored(), "its row may be on the way"
    clock.forward(hours=2)
    sweep()
    assert stored() == []


def test_a_store_that_is_away_stops_no_sweep_for_good(shared_service, sweep, stored, clock, url):
    job = submit(shared_service)
    shared_service.cancel(job.id)
    clock.forward(days=2)
    filesystem, root = fsspec.core.url_to_fs(url, auto_mkdir=True)
    shared_service.artefacts._remote = RemoteFolder(Away(filesystem, 1), root)
    sweep()
    assert stored(), "not yet"
    sweep()
    assert stored() == []


def test_settings_choose_the_store(tmp_path):
    plain = Settings.from_env({}, data_dir=tmp_path, disk_floor_mb=1)
    assert type(open_artefacts(plain)) is ArtefactStore
    shared = open_artefacts(replace(plain, store_url=f"memory://{uuid.uuid4().hex}"))
    shared.put_input(JOB, "image.png", b"x")
    assert isinstance(shared, SharedArtefacts)
    assert shared.root == plain.artefact_dir
    with pytest.raises(StartFailed, match="cannot be opened"):
        open_artefacts(replace(plain, store_url="nonsense://x"))
