from __future__ import annotations

import pytest


def test_show_has_an_etag_that_saves_the_body(server, small_png):
    address = server.submit(small_png)["links"]["self"]
    first = server.client.get(address)
    assert first.json["warnings"] == []
    again = server.client.get(address, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    server.claim()
    changed = server.client.get(address, headers={"If-None-Match": first.headers["ETag"]})
    assert (changed.status_code, changed.json["status"]) == (200, "running")


def test_list_is_newest_first_and_pages_by_its_next_address(server, small_png):
    ids = [server.submit(small_png, name=f"n{i}")["id"] for i in range(5)]
    found, address = [], "/api/v1/jobs?limit=2&pipeline=image_to_3d"
    while address:
        page = server.client.get(address).json
        assert len(page["items"]) <= 2
        found += [job["id"] for job in page["items"]]
        address = page["next"]
    assert found == ids[::-1]


def test_list_filters_by_state_and_name(server, small_png):
    chair = server.submit(small_png, name="red chair")["id"]
    server.submit(small_png, name="table")
    server.client.post(f"/api/v1/jobs/{chair}/cancel")
    by_state = server.client.get("/api/v1/jobs?status=canceled").json["items"]
    by_name = server.client.get("/api/v1/jobs?q=CHAIR").json["items"]
    assert [job["id"] for job in by_state] == [job["id"] for job in by_name] == [chair]
    assert server.client.get("/api/v1/jobs?q=100%25").json["items"] == []


@pytest.mark.parametrize(
    "query",
    [
        "status=done",
        "pipeline=x",
        "limit=0",
        "limit=201",
        "limit=a",
        "limit=٣",
        "limit=000000000002",
        "cursor=x",
    ],
)
def test_list_refuses_what_it_does_not_know(server, query):
    answer = server.client.get(f"/api/v1/jobs?{query}")
    assert (answer.status_code, answer.json["code"]) == (422, "invalid-parameter")


def test_rename(server, small_png):
    address = server.submit(small_png)["links"]["self"]
    answer = server.client.patch(address, json={"name": "  A\u202enew\r\nname "})
    assert (answer.status_code, answer.json["name"]) == (200, "Anewname")
    assert server.client.get(address).json["name"] == "Anewname"


@pytest.mark.parametrize("body", [{}, {"name": ""}, {"name": "\u202e"}, {"name": 5}, {"nam": "x"}])
def test_rename_refuses(server, small_png, body):
    address = server.submit(small_png)["links"]["self"]
    assert server.client.patch(address, json=body).status_code == 422


def test_cancel_waiting_then_again(server, small_png):
    """Row 41 of the abuse table: queued, and twice."""
    address = server.submit(small_png)["links"]["cancel"]
    first = server.client.post(address)
    assert (first.status_code, first.json["status"]) == (202, "canceled")
    second = server.client.post(address)
    assert (second.status_code, second.json["code"]) == (409, "job-finished")


def test_cancel_running_waits_for_the_worker(server, small_png):
    """Row 41 of the abuse table: running, twice, and racing with the end."""
    address = server.submit(small_png)["links"]["cancel"]
    job = server.claim()
    for _ in range(2):
        answer = server.client.post(address)
        assert (answer.status_code, answer.json["status"]) == (202, "canceling")
    assert server.service.claims.mark_canceled(job)
    assert server.service.store.get(job.id).status == "canceled"
    assert server.client.post(address).status_code == 409


def test_retry_makes_a_new_job_with_the_same_picture(server, small_png):
    old = server.submit(small_png, seed="5", priority="high")
    running = server.client.post(old["links"]["retry"])
    assert (running.status_code, running.json["code"]) == (409, "job-not-finished")
    server.client.post(old["links"]["cancel"])
    new = server.client.post(old["links"]["retry"])
    assert (new.status_code, new.json["retry_of"]) == (202, old["id"])
    assert new.json["params"] == old["params"]
    assert new.headers["Location"] == new.json["links"]["self"]
    changed = server.client.post(old["links"]["retry"], json={"params": {"preset": "draft"}})
    assert changed.json["params"] == old["params"] | {"preset": "draft"}


def test_retry_refuses_unknown_parameters_and_removed_pictures(server, small_png):
    old = server.submit(small_png)
    server.client.post(old["links"]["cancel"])
    wrong = server.client.post(old["links"]["retry"], json={"params": {"glaze": 5}})
    assert (wrong.status_code, wrong.json["errors"][0]["pointer"]) == (422, "/params/glaze")
    assert server.client.post(old["links"]["retry"], json={"glaze": 5}).status_code == 422
    server.service.artefacts.remove_inputs(old["id"])
    gone = server.client.post(old["links"]["retry"])
    assert (gone.status_code, gone.json["code"]) == (410, "files-expired")


def test_delete_hides_at_once_and_cancels_what_runs(server, small_png):
    old = server.submit(small_png)
    job = server.claim()
    assert server.client.delete(old["links"]["self"]).status_code == 204
    assert server.client.get(old["links"]["self"]).status_code == 404
    assert server.client.delete(old["links"]["self"]).status_code == 404
    assert server.service.claims.is_stopped(job)


@pytest.mark.parametrize("call", ["get", "patch", "delete"])
def test_unknown_job(server, call):
    body = {"json": {"name": "x"}} if call == "patch" else {}
    answer = getattr(server.client, call)("/api/v1/jobs/" + "0" * 26, **body)
    assert (answer.status_code, answer.json["code"]) == (404, "not-found")
