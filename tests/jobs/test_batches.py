from __future__ import annotations

import doctest
import threading
from datetime import timedelta

import pytest
from sqlalchemy import select

from backend.errors import (
    BatchFinished,
    FilesExpired,
    IdempotencyKeyReused,
    ImageCorrupt,
    InvalidParameter,
    NotFound,
    NothingAccepted,
    NothingFailed,
    OutOfMemory,
    QueueFull,
    StorageFull,
)
from backend.jobs.access.api_key import ApiKey, KeyLimits
from backend.jobs.access.viewer import acting_as
from backend.jobs.batches import folder_names, left_items, manifest, pace, records
from backend.jobs.batches.drafts import ItemDraft, NewBatch
from backend.jobs.batches.records import BatchState, ItemState
from backend.jobs.events import EventLog
from backend.jobs.service import JobService
from backend.jobs.states import JobState, Priority
from backend.jobs.webhooks.table import WebhookRow
from backend.settings import Settings


def drafts(service, *names, size=None, **options):
    """Items; a name that begins with 'bad' is refused."""

    def draft(name):
        def make(batch_id):
            if name.startswith("bad"):
                raise ImageCorrupt(f"{name} is torn.")
            params = {"preset": "draft"}
            new = service.prepare("image_to_3d", params, name, batch_id=batch_id, **options)
            return new, lambda: {"image.png": name.encode()}

        return ItemDraft(name, make)

    return [draft(name) for name in names or [f"n{i}" for i in range(size)]]


def new_batch(**fields):
    return NewBatch(**{"pipeline": "image_to_3d", "name": "toys", "params": {}} | fields)


def create(service, *names, size=None, **fields):
    return service.batches.create(new_batch(**fields), drafts(service, *names, size=size))[0]


def claim(service, count=1):
    return [service.claims.claim("gpu", "t:1:1")[0] for _ in range(count)]


def fail(service, job):
    assert service.claims.fail(job, OutOfMemory())


def test_good_items_become_jobs_and_bad_ones_keep_their_problem(service):
    batch = create(service, "a", "bad", "c")
    assert batch.state is BatchState.QUEUED
    assert (batch.counts.total, batch.counts.queued, batch.counts.refused) == (3, 2, 1)
    first, bad, last = service.batches.items(batch.id)
    assert [item.custom_id for item in (first, bad, last)] == ["a", "bad", "c"]
    assert (bad.status, bad.job_id, bad.problem["code"]) == (
        ItemState.REFUSED, None, "image-corrupt",
    )  # fmt: skip
    job = service.store.get(last.job_id)
    assert (job.batch_id, job.name) == (batch.id, "c")
    assert service.artefacts.input_path(job.id, "image.png").read_bytes() == b"c"
    document = service.batches.document(batch.id)
    assert document["items"][1]["problem"]["detail"] == "bad is torn."
    assert "problem" not in document["items"][0]


def test_a_batch_without_a_good_item_is_none(service):
    with pytest.raises(NothingAccepted) as caught:
        create(service, "bad1", "bad2")
    assert [field.pointer for field in caught.value.fields] == ["/items/0", "/items/1"]
    assert service.batches.page().items == []


def test_what_interrupts_the_intake_leaves_neither_rows_nor_files(service, monkeypatch):
    good = service.artefacts.put_input

    def full_at_third(job_id, name, data):
        if data == b"c":
            raise StorageFull
        good(job_id, name, data)

    monkeypatch.setattr(service.artefacts, "put_input", full_at_third)
    with pytest.raises(StorageFull):
        create(service, "a", "b", "c")
    assert list(service.artefacts.job_ids()) == []
    assert service.store.list().items == []
    assert service.batches.page().items == []


def test_state_follows_the_jobs(service, clock):
    batch = create(service, "a", "b", "c", "d")
    one, two = claim(service, 2)
    service.claims.finish(one, [], {})
    fail(service, two)
    running = service.batches.get(batch.id)
    assert running.state is BatchState.RUNNING
    assert (running.counts.succeeded, running.counts.failed, running.counts.queued) == (1, 1, 2)
    assert running.progress == 50
    assert running.finished_at is None
    for job in claim(service, 2):
        service.claims.finish(job, [], {})
    ended = service.batches.get(batch.id)
    assert (ended.state, ended.progress) == (BatchState.FINISHED, 100)
    assert ended.finished_at == max(
        service.store.get(item.job_id).finished_at for item in service.batches.items(batch.id)
    )


def test_progress_counts_what_running_jobs_have_done(service):
    batch = create(service, "a", "b")
    (job,) = claim(service)
    service.claims.update_stage(job, "image_preprocessing", 50.0, {})
    assert service.batches.get(batch.id).progress == 25


def test_pace_and_time_left(service, clock):
    batch = create(service, size=10)
    assert service.batches.get(batch.id).jobs_per_min is None
    for job in claim(service, 4):
        clock.forward(seconds=20)
        service.claims.finish(job, [], {})
    seen = service.batches.get(batch.id)
    assert seen.jobs_per_min == pytest.approx(3, rel=0.01)
    assert seen.eta_s == pytest.approx(120, rel=0.01)
    clock.forward(seconds=60)  # nothing has ended since
    assert service.batches.get(batch.id).jobs_per_min == pytest.approx(1.5, rel=0.01)
    service.batches.pause(batch.id)
    assert service.batches.get(batch.id).eta_s is None


def test_paused_jobs_are_not_claimed_and_stand_in_nobodys_way(service):
    batch = create(service, "a", "b")
    (running,) = claim(service)
    assert service.batches.pause(batch.id).state is BatchState.PAUSED
    assert service.claims.claim("gpu", "t:1:1") == []
    assert service.store.waiting_queues() == [], "nobody rings for jobs that may not start"
    other = service.prepare("image_to_3d", {"preset": "draft"}, "other")
    service.submit(other, {"image.png": b"x"})
    assert service.store.get(other.id).queue_position == 1
    held = service.batches.items(batch.id)[1].job_id
    assert service.store.get(held).queue_position is None
    assert service.claims.finish(running, [], {})
    assert service.claims.claim("gpu", "t:1:1")[0].id == other.id
    assert service.batches.resume(batch.id).state is BatchState.RUNNING
    assert service.claims.claim("gpu", "t:1:1")[0].id == held


def test_only_what_is_left_to_do_can_be_paused_or_canceled(service):
    batch = create(service, "a")
    service.claims.finish(claim(service)[0], [], {})
    for order in (service.batches.pause, service.batches.cancel):
        with pytest.raises(BatchFinished):
            order(batch.id)
    assert service.batches.resume(batch.id).state is BatchState.FINISHED


def test_cancel_stops_what_waits_and_asks_what_runs(service):
    batch = create(service, "a", "b", "c")
    service.batches.pause(batch.id)
    service.batches.resume(batch.id)
    (job,) = claim(service)
    seen = service.batches.cancel(batch.id)
    assert seen.state is BatchState.CANCELING
    assert (seen.counts.running, seen.counts.canceled) == (1, 2)
    assert service.store.get(job.id).status is JobState.CANCELING
    assert service.claims.is_stopped(job)
    assert service.claims.mark_canceled(job)
    ended = service.batches.get(batch.id)
    assert (ended.state, ended.counts.canceled) == (BatchState.CANCELED, 3)


def test_other_batches_are_left_alone(service):
    first, second = create(service, "a"), create(service, "b")
    service.batches.cancel(first.id)
    assert service.batches.get(second.id).state is BatchState.QUEUED


def test_failed_items_run_again_as_new_jobs(service):
    batch = create(service, "a", "b")
    one, two = claim(service, 2)
    fail(service, one)
    service.artefacts.remove_inputs(one.id)
    with pytest.raises(FilesExpired):
        service.batches.retry_failed(batch.id)
    service.artefacts.put_input(one.id, "image.png", b"a")
    seen = service.batches.retry_failed(batch.id)
    assert (seen.counts.failed, seen.counts.queued, seen.counts.running) == (0, 1, 1)
    item = service.batches.items(batch.id)[0]
    again = service.store.get(item.job_id)
    assert (again.retry_of, again.batch_id) == (one.id, batch.id)
    assert again.params == service.store.get(one.id).params
    assert service.artefacts.input_path(again.id, "image.png").read_bytes() == b"a"
    with pytest.raises(NothingFailed):
        service.batches.retry_failed(batch.id)
    service.claims.finish(two, [], {})
    service.claims.finish(claim(service)[0], [], {})
    assert service.batches.get(batch.id).counts.succeeded == 2


def test_items_whose_picture_is_gone_stay_failed_and_are_told(service):
    batch = create(service, "a", "b")
    for job in (jobs := claim(service, 2)):
        fail(service, job)
    service.artefacts.remove_inputs(jobs[0].id)
    seen = service.batches.retry_failed(batch.id)
    assert (seen.counts.failed, seen.counts.queued) == (1, 1)
    assert any("1 failed" in warning for warning in seen.warnings)


def test_two_retries_at_once_make_one_job_per_item(service):
    batch = create(service, size=5)
    for job in claim(service, 5):
        fail(service, job)
    outcomes = []

    def retry():
        try:
            service.batches.retry_failed(batch.id)
            outcomes.append("done")
        except NothingFailed:
            outcomes.append("nothing left")

    threads = [threading.Thread(target=retry) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 4
    assert service.batches.get(batch.id).counts.queued == 5
    waiting = [job for job in service.store.list().items if job.status is JobState.QUEUED]
    assert len(waiting) == 5
    assert len(list(service.artefacts.job_ids())) == 10, "no picture of a job that never was"


def test_retry_after_cancel_lets_the_batch_live_again(service):
    batch = create(service, "a", "b")
    fail(service, claim(service)[0])
    service.batches.cancel(batch.id)
    assert service.batches.get(batch.id).state is BatchState.CANCELED
    seen = service.batches.retry_failed(batch.id)
    assert seen.state is BatchState.RUNNING
    assert (seen.counts.queued, seen.counts.canceled) == (1, 1)


def test_a_deleted_job_leaves_its_item(service):
    batch = create(service, "a", "b")
    first = service.batches.items(batch.id)[0]
    service.delete(first.job_id)
    assert service.batches.items(batch.id)[0].status is ItemState.DELETED
    seen = service.batches.get(batch.id)
    assert (seen.counts.deleted, seen.counts.queued, seen.counts.total) == (1, 1, 2)


def test_expired_results_count_as_succeeded(service):
    batch = create(service, "a")
    (job,) = claim(service)
    service.claims.finish(job, [], {})
    with service.store.writer.begin() as connection:
        connection.exec_driver_sql("UPDATE jobs SET status = 'expired'")
    assert service.batches.get(batch.id).counts.succeeded == 1
    assert service.batches.items(batch.id)[0].status is ItemState.EXPIRED


def test_same_key_and_body_is_the_same_batch(service, clock):
    keyed = new_batch(idempotency_key="k", body_sha256="h")
    batch, is_new = service.batches.create(keyed, drafts(service, "a", "b"))
    assert is_new
    again, is_new = service.batches.create(keyed, drafts(service, "a", "b"))
    assert (again.id, is_new) == (batch.id, False)
    assert service.batches.find_known(keyed).id == batch.id
    assert len(service.store.list().items) == 2
    assert len(list(service.artefacts.job_ids())) == 2
    with pytest.raises(IdempotencyKeyReused):
        service.batches.find_known(new_batch(idempotency_key="k", body_sha256="other"))
    clock.forward(hours=25)
    other, is_new = service.batches.create(keyed, drafts(service, "a", "b"))
    assert is_new
    assert other.id != batch.id


def test_same_key_sent_at_once_makes_one_batch(service):
    keyed = new_batch(idempotency_key="k", body_sha256="h")
    made = []

    def send():
        made.append(service.batches.create(keyed, drafts(service, "a", "b")))

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({batch.id for batch, _ in made}) == 1
    assert sorted(is_new for _, is_new in made) == [False] * 5 + [True]
    assert len(service.store.list().items) == 2
    assert len(list(service.artefacts.job_ids())) == 2


@pytest.fixture
def small_queue(tmp_path, clock):
    made = JobService(
        Settings.from_env({}, data_dir=tmp_path, disk_floor_mb=1, max_queued_jobs=3), clock
    )
    yield made
    made.close()


def test_what_finds_no_room_is_told_so(small_queue):
    batch = create(small_queue, size=5)
    assert (batch.counts.queued, batch.counts.refused) == (3, 2)
    items = small_queue.batches.items(batch.id)
    assert [item.problem and item.problem["code"] for item in items] == [
        None, None, None, "queue-full", "queue-full",
    ]  # fmt: skip
    assert len(list(small_queue.artefacts.job_ids())) == 3
    with pytest.raises(QueueFull):
        create(small_queue, "x")
    assert len(small_queue.batches.page().items) == 1
    assert len(list(small_queue.artefacts.job_ids())) == 3


def test_a_keys_quota_bounds_its_batches(service, clock):
    key = ApiKey("k" * 26, "ann", "mk_ann", clock.now(), limits=KeyLimits(max_queued_jobs=2))
    with acting_as(key):
        batch = create(service, size=4)
        assert (batch.counts.queued, batch.counts.refused) == (2, 2)


def test_list_is_newest_first_and_pages(service, clock):
    made = [create(service, "a").id for _ in range(5)]
    found, cursor = [], None
    while True:
        page = service.batches.page(2, cursor)
        found += [batch.id for batch in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert found == made[::-1]
    with pytest.raises(InvalidParameter):
        service.batches.page(2, "x")


def test_jobs_keep_order_and_priority(service):
    service.batches.create(new_batch(), drafts(service, "low", priority=Priority.LOW))
    service.batches.create(new_batch(), drafts(service, "a", "b"))
    names = [service.store.get(claim(service)[0].id).name for _ in range(3)]
    assert names == ["a", "b", "low"]


def test_results_are_read_page_by_page(service):
    batch = create(service, "bad", *[f"n{i:03}" for i in range(120)])
    (job,) = claim(service)
    service.claims.finish(job, [], {})
    found = list(service.batches.results(batch.id))
    assert [result.item.custom_id for result in found] == [
        "bad", *[f"n{i:03}" for i in range(120)],
    ]  # fmt: skip
    assert found[0].status == "refused"
    assert found[0].error["code"] == "image-corrupt"
    assert (found[1].status, found[1].job.id) == ("succeeded", job.id)
    assert found[2].status == "queued"


def test_one_bell_for_each_worker_and_no_more_than_jobs(service, monkeypatch):
    rung = []
    monkeypatch.setattr(service.doorbell, "ring", lambda queue, _=None: rung.append(queue) or True)
    monkeypatch.setattr(EventLog, "publish", lambda *_: True)
    monkeypatch.setattr(
        service, "worker_status", lambda: [{"queue": "gpu"}] * 3 + [{"queue": "cpu"}]
    )
    assert create(service, size=10).warnings == ()
    assert rung == ["gpu"] * 3
    rung.clear()
    create(service, "a", "b")
    assert rung == ["gpu"] * 2


def test_the_end_is_told_once_and_once_more_after_another_try(service):
    batch = create(service, "a", "b", webhook_url="https://example.org/hook")

    def hooks():
        with service.store.engine.connect() as connection:
            return list(connection.execute(select(WebhookRow.batch_id, WebhookRow.url)))

    assert hooks() == [(batch.id, "https://example.org/hook")]
    fail(service, claim(service)[0])
    service.batches.retry_failed(batch.id)
    assert len(hooks()) == 2


def test_unknown_batch(service):
    with pytest.raises(NotFound):
        service.batches.get("0" * 26)


def test_a_batch_whose_end_was_long_ago_keeps_its_pace(service, clock):
    batch = create(service, size=4)
    for job in claim(service, 4):
        clock.forward(seconds=30)
        service.claims.finish(job, [], {})
    clock.forward(days=3)
    seen = service.batches.get(batch.id)
    assert seen.jobs_per_min == pytest.approx(2, rel=0.01)
    assert seen.finished_at < clock.now() - timedelta(days=2)


@pytest.mark.parametrize("module", [folder_names, left_items, manifest, pace, records])
def test_the_examples_hold(module):
    outcome = doctest.testmod(module)
    assert outcome.attempted
    assert not outcome.failed


def test_folders_are_unique_whatever_the_case_of_letters():
    folders = folder_names.FolderNames()
    taken = [folders.take(name) for name in ("a/b", "A_B", "a:b", "x" * 400, "x" * 400, "é" * 200)]
    assert taken[:3] == ["a_b", "A_B~2", "a_b~3"]
    assert len({name.casefold() for name in taken}) == 6
    assert all(len(name.encode()) <= folder_names.MAX_BYTES + 2 for name in taken)
    assert [folder_names.FolderNames().take("a/b")] == ["a_b"]


@pytest.mark.parametrize("begins", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff20"])
def test_no_cell_of_the_manifest_begins_a_formula(begins):
    assert manifest._cell(f"{begins}1+1") == f"'{begins}1+1"
