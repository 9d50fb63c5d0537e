from __future__ import annotations

import pytest

from backend.jobs.claims import Claims
from backend.jobs.owners import Owner
from backend.jobs.states import Priority
from backend.jobs.waiting_work import group_of, params_of, waiting_kinds

DEAD = f"{Owner.this_process().host}:1:12345"
TINY = 'image_to_3d:{"engine":"tiny","preset":"draft"}'
FINE = 'image_to_3d:{"engine":"tiny","preset":"high"}'
CLAY = 'image_to_3d:{"engine":"clay","preset":"draft"}'


@pytest.fixture
def claims(store):
    return Claims(store)


def test_nothing_waits(store):
    assert waiting_kinds(store.engine, "gpu") == []


def test_jobs_are_told_by_kind_the_oldest_first(store, new_job):
    first, _ = store.submit(new_job(batch_key=CLAY))
    for key in (TINY, CLAY, TINY):
        store.submit(new_job(batch_key=key))
    store.submit(new_job(batch_key=TINY, queue="cpu"))
    clay, tiny = waiting_kinds(store.engine, "gpu")
    assert (clay.batch_key, clay.count, tiny.batch_key, tiny.count) == (CLAY, 2, TINY, 2)
    assert clay.oldest_id == first.id
    assert clay.oldest_at == store.get(first.id).created_at < clay.newest_at


def test_only_the_highest_priority_is_told(store, new_job):
    store.submit(new_job(batch_key=TINY))
    store.submit(new_job(batch_key=CLAY, priority=Priority.HIGH))
    assert [kind.batch_key for kind in waiting_kinds(store.engine, "gpu")] == [CLAY]


def test_jobs_that_ran_before_are_a_kind_of_their_own(store, claims, new_job):
    store.submit(new_job(batch_key=TINY))
    claims.claim("gpu", DEAD)
    claims.release_lost()
    store.submit(new_job(batch_key=TINY))
    kinds = waiting_kinds(store.engine, "gpu")
    assert [(kind.is_retry, kind.count) for kind in kinds] == [(True, 1), (False, 1)]


def test_jobs_that_run_do_not_wait(store, claims, new_job):
    store.submit(new_job())
    claims.claim("gpu", DEAD)
    assert waiting_kinds(store.engine, "gpu") == []


def test_a_group_is_a_pipeline_and_its_engine():
    assert group_of(TINY, "image_to_3d") == group_of(FINE, "image_to_3d") == "image_to_3d:tiny"
    assert group_of(CLAY, "image_to_3d") == "image_to_3d:clay"
    for other in ("b", "cut_out:{}", "cut_out:[1]", "cut_out:{"):
        assert group_of(other, "cut_out") == "cut_out"


def test_parameters_of_a_job(store, new_job):
    job, _ = store.submit(new_job(params={"preset": "high"}))
    assert params_of(store.engine, job.id) == {"preset": "high"}
    assert params_of(store.engine, "gone") == {}
