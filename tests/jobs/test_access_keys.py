from __future__ import annotations

import hashlib
import re
from datetime import timedelta

import pytest
from sqlalchemy import text

from backend.errors import InvalidParameter, NotFound, QuotaExceeded, StartFailed
from backend.jobs.access.access import Access
from backend.jobs.access.api_key import KeyLimits
from backend.jobs.access.start_check import check_start
from backend.jobs.access.sweep import forget_expired
from backend.jobs.access.viewer import acting_as, current_key_id, scoped
from backend.jobs.states import JobState
from backend.jobs.store import JobFilter
from backend.settings import Settings


@pytest.fixture
def access(store, clock):
    return Access(store.engine, Settings(require_key=True), clock)


@pytest.fixture
def ann(access):
    return access.keys.create("ann")[0]


@pytest.fixture
def ben(access):
    return access.keys.create("ben")[0]


@pytest.fixture
def boss(access):
    return access.keys.create("boss", is_admin=True)[0]


def test_a_key_has_256_bits_and_only_its_hash_is_stored(access, store):
    key, secret = access.keys.create("ann")
    assert re.fullmatch(r"mk_[A-Za-z0-9_-]{43}", secret)
    assert secret.startswith(key.prefix)
    with store.engine.connect() as connection:
        row = connection.execute(text("SELECT * FROM api_keys")).one()
    assert hashlib.sha256(secret.encode()).hexdigest() in row
    assert secret not in map(str, row)
    assert access.keys.create("ben")[1] != secret


def test_only_the_whole_secret_of_a_live_key_opens(access, clock):
    key, secret = access.keys.create("ann", expires_in=timedelta(hours=1))
    assert access.keys.find(secret).id == key.id
    for wrong in (
        None,
        "",
        secret[:-1],
        secret + "x",
        secret.upper(),
        key.prefix,
        "mk_" + "a" * 43,
    ):
        assert access.keys.find(wrong) is None
    clock.forward(hours=2)
    assert access.keys.find(secret) is None
    assert access.keys.get(key.id) is None


def test_a_revoked_key_and_its_logins_end_at_once(access):
    key, secret = access.keys.create("ann")
    token = access.logins.begin(key)
    assert access.logins.find(token).id == key.id
    assert access.keys.revoke("ann").revoked_at is not None
    assert access.keys.find(secret) is None
    assert access.logins.find(token) is None
    assert not access.keys.has_live()
    with pytest.raises(NotFound):
        access.keys.revoke("ann")


def test_a_key_is_revoked_by_its_prefix_and_its_name_is_free_again(access):
    key, _ = access.keys.create("ann")
    with pytest.raises(InvalidParameter, match="already"):
        access.keys.create(" ann ")
    access.keys.revoke(key.prefix)
    assert access.keys.create("ann")[0].id != key.id


@pytest.mark.parametrize("name", ["", "  ", "a" * 81, "a\x1b[2J", "a\u202eb"])
def test_a_name_can_be_shown(access, name):
    with pytest.raises(InvalidParameter):
        access.keys.create(name)


def test_a_login_ends_after_two_weeks_or_when_the_browser_says_so(access, clock, ann):
    first, second = access.logins.begin(ann), access.logins.begin(ann)
    access.logins.end(first)
    assert access.logins.find(first) is None
    assert access.logins.find(second) == access.keys.get(ann.id)
    clock.forward(days=14)
    assert access.logins.find(second) is None


def test_a_use_is_noted_but_not_with_every_request(access, clock, ann):
    access.keys.note_use(ann)
    first = access.keys.get(ann.id).last_used_at
    clock.forward(minutes=1)
    access.keys.note_use(ann)
    assert access.keys.get(ann.id).last_used_at == first
    clock.forward(minutes=5)
    access.keys.note_use(ann)
    assert access.keys.get(ann.id).last_used_at > first


def test_jobs_of_another_key_are_not_there(store, new_job, ann, ben, boss):
    with acting_as(ann):
        job, _ = store.submit(new_job(name="hers"))
        assert store.get(job.id).name == "hers"
        assert [found.id for found in store.list().items] == [job.id]
    with acting_as(ben):
        assert store.list(JobFilter(listed_only=False)).items == []
        for touch in (store.get, store.request_cancel, store.hide):
            with pytest.raises(NotFound) as other:
                touch(job.id)
            with pytest.raises(NotFound) as unknown:
                touch("0" * 26)
            assert str(other.value) == str(unknown.value)
        with pytest.raises(NotFound):
            store.rename(job.id, "mine")
    with acting_as(boss):
        assert store.get(job.id).status is JobState.QUEUED
    assert store.get(job.id).name == "hers"  # the server itself sees everything


def test_jobs_without_an_owner_are_for_administrators(store, new_job, ann, boss):
    job, _ = store.submit(new_job())
    with acting_as(ann), pytest.raises(NotFound):
        store.get(job.id)
    with acting_as(boss):
        assert store.get(job.id).id == job.id


def test_two_keys_may_use_the_same_idempotency_key(store, new_job, ann, ben):
    fields = {"idempotency_key": "k" * 128, "body_sha256": "h"}
    with acting_as(ann):
        hers, _ = store.submit(new_job(**fields))
        again, is_new = store.submit(new_job(**fields))
        assert (again.id, is_new) == (hers.id, False)
        assert len(scoped("k" * 128)) <= 128
    with acting_as(ben):
        his, is_new = store.submit(new_job(**fields))
    assert is_new
    assert his.id != hers.id


def test_a_key_has_a_bound_on_waiting_jobs_of_its_own(access, store, new_job, ann):
    limited, _ = access.keys.create("small", limits=KeyLimits(max_queued_jobs=2))
    with acting_as(ann):
        store.submit(new_job())
    with acting_as(limited):
        first, _ = store.submit(new_job(idempotency_key="a"))
        store.submit(new_job())
        with pytest.raises(QuotaExceeded) as caught:
            store.submit(new_job())
        assert caught.value.retry_after_s > 0
        assert store.submit(new_job(idempotency_key="a"))[1] is False  # a repeat is no new job
        store.request_cancel(first.id)
        assert store.submit(new_job())[1]


def test_a_key_has_a_bound_on_stored_bytes(access, store, new_job):
    limited, _ = access.keys.create("small", limits=KeyLimits(max_stored_gb=0.001))
    with acting_as(limited):
        job, _ = store.submit(new_job())
    statement = (
        "INSERT INTO outputs (job_id, name, position, format, role, bytes, sha256) "
        "VALUES (:job, 'model.glb', 0, 'glb', 'model', 2000000, 'x')"
    )
    with store.writer.begin() as connection:
        connection.execute(text(statement), {"job": job.id})
    with acting_as(limited), pytest.raises(QuotaExceeded, match=r"0\.001 GB"):
        store.submit(new_job())


def test_what_was_uploaded_counts_as_stored_until_it_is_removed(access, service, new_job):
    limited, _ = access.keys.create("meshes", limits=KeyLimits(max_stored_gb=0.001))
    with acting_as(limited):
        job, _, _ = service.submit(new_job(), {"mesh.glb": bytes(600_000)})
        service.cancel(job.id)
        service.retry(job.id)  # it has a copy of its own
        with pytest.raises(QuotaExceeded, match=r"0\.001 GB"):
            service.submit(new_job(), {"mesh.glb": b"x"})
    with service.store.writer.begin() as connection:
        connection.execute(text("UPDATE jobs SET inputs_removed = true"))
    with acting_as(limited):
        service.submit(new_job(), {"mesh.glb": b"x"})


def test_the_viewer_of_a_block_ends_with_it(ann):
    with acting_as(ann):
        assert current_key_id() == ann.id
        with acting_as(None):
            assert current_key_id() is None
        assert current_key_id() == ann.id
    assert current_key_id() is None


def test_deleting_the_job_of_another_is_written_down(service, new_job):
    keys = service.access.keys
    ann, boss = keys.create("ann")[0], keys.create("boss", is_admin=True)[0]
    jobs = []
    for key in (ann, ann, boss):
        with acting_as(key):
            jobs.append(service.store.submit(new_job())[0].id)
    with acting_as(ann):
        service.delete(jobs[0])
    with acting_as(boss):
        service.delete(jobs[1])
        service.delete(jobs[2])
    (entry,) = service.access.audit.entries()
    assert (entry.action, entry.target) == ("job.deleted", jobs[1])
    assert entry.actor == f"boss ({boss.prefix})"
    assert entry.detail == {"owner": ann.id}


def test_what_has_ended_is_forgotten(access, store, new_job, clock, ann):
    job, _ = store.submit(new_job())
    token, _ = access.links.create(job.id, timedelta(days=30))
    access.logins.begin(ann)
    access.audit.record("x", "y", actor="z")
    clock.forward(days=20)
    assert forget_expired(store.engine, clock.now()) == 1  # the login
    assert access.links.job_of(token) == job.id
    clock.forward(days=350)
    assert forget_expired(store.engine, clock.now()) == 2
    assert access.audit.entries() == []


def test_links_and_owners_go_with_their_job(access, store, new_job, ann):
    with acting_as(ann):
        job, _ = store.submit(new_job())
    access.links.create(job.id, timedelta(days=1))
    with store.writer.begin() as connection:
        connection.execute(text("DELETE FROM stages"))
        connection.execute(text("DELETE FROM jobs"))
        left = [
            connection.scalar(text(f"SELECT count(*) FROM {table}"))
            for table in ("job_owners", "share_links")
        ]
    assert left == [0, 0]


@pytest.mark.parametrize(
    ("host", "require_key", "refused"),
    [
        ("127.0.0.1", False, False),
        ("::1", False, False),
        ("localhost", False, False),
        ("127.0.0.1", True, True),
        ("0.0.0.0", False, True),
        ("192.168.1.5", False, True),
        ("my-server", False, True),
    ],
)
def test_a_server_that_others_reach_needs_a_key_to_start(
    tmp_path, clock, host, require_key, refused
):
    settings = Settings(data_dir=tmp_path, host=host, require_key=require_key)
    if not refused:
        check_start(settings, clock)
        return
    with pytest.raises(StartFailed) as caught:
        check_start(settings, clock)
    assert "keys create" in caught.value.advice


def test_a_server_with_a_live_key_starts(tmp_path, clock, store):
    url = str(store.engine.url)
    settings = Settings(data_dir=tmp_path, host="0.0.0.0", database_url=url)
    access = Access(store.engine, settings, clock)
    access.keys.create("short", expires_in=timedelta(minutes=1))
    check_start(settings, clock)
    clock.forward(minutes=2)
    with pytest.raises(StartFailed):
        check_start(settings, clock)
