from __future__ import annotations

import pytest

from backend.errors import OutOfMemory
from tests.web.batch_requests import URL, data_uri
from tests.web.keyed import Caller, logged_in


@pytest.fixture
def keyed(make_server):
    return make_server(require_key=True, batch_items_per_min=5)


@pytest.fixture
def ann(keyed):
    return Caller(keyed, "ann")


def submit(caller, png, count, **headers):
    return caller.post(URL, json={"items": [{"image": data_uri(png)}] * count}, headers=headers)


def test_the_items_of_batches_are_counted_and_not_only_the_batches(keyed, ann, small_png):
    assert submit(ann, small_png, 3).status_code == 202
    refused = submit(ann, small_png, 3)
    assert (refused.status_code, refused.json["code"]) == (429, "rate-limited")
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert refused.headers["RateLimit-Policy"] == '"batch-items";q=5;w=60'
    assert submit(ann, small_png, 2).status_code == 202
    assert submit(Caller(keyed, "ben"), small_png, 5).status_code == 202
    assert keyed.count() == 10


def test_a_batch_larger_than_the_limit_takes_all_of_it(ann, small_png):
    assert submit(ann, small_png, 7).status_code == 202
    assert submit(ann, small_png, 1).status_code == 429


def test_a_batch_that_is_sent_again_is_not_counted_again(ann, small_png):
    codes = [submit(ann, small_png, 4, **{"Idempotency-Key": "k"}).status_code for _ in range(3)]
    assert codes == [202, 200, 200]


def failed_batch(keyed, ann, png):
    batch = submit(ann, png, 4).json
    for job in keyed.service.claims.claim("gpu", "test:1:1", max_n=4):
        assert keyed.service.claims.fail(job, OutOfMemory())
    return batch["id"]


def test_items_that_run_again_count_as_sent(keyed, ann, small_png):
    batch_id = failed_batch(keyed, ann, small_png)
    assert ann.post(f"{URL}/{batch_id}/retry-failed").status_code == 429
    assert ann.get(f"{URL}/{batch_id}").json["counts"]["failed"] == 4


def test_the_button_counts_them_as_well(make_server, small_png):
    keyed = make_server(require_key=True, batch_items_per_min=3)
    ann = Caller(keyed, "ann")
    batch_id = failed_batch(keyed, ann, small_png)
    browser, token = logged_in(keyed, ann.secret)
    path = f"/batches/{batch_id}/retry-failed"
    assert browser.post(path, data={"csrf_token": token}).status_code == 303
    for job in keyed.service.claims.claim("gpu", "test:1:1", max_n=4):
        keyed.service.claims.fail(job, OutOfMemory())
    assert browser.post(path, data={"csrf_token": token}).status_code == 429


def test_without_keys_nothing_is_counted(make_server, small_png):
    server = make_server(batch_items_per_min=1)
    body = {"items": [{"image": data_uri(small_png)}] * 2}
    assert [server.client.post(URL, json=body).status_code for _ in range(3)] == [202] * 3
