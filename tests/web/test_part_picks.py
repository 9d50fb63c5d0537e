"""Asking about a point of a finished job's mesh: what becomes a job, and what is refused."""

from __future__ import annotations

import io

import pytest

from backend.jobs.access.viewer import work_for
from backend.jobs.states import JobState
from tests.web.keyed import Caller, logged_in
from tests.web.test_parts_api import FILES, finish

GEOMETRY = "5a" * 32
FOUND = {"parts": {"engine": "p3sam", "points": 20_000, "geometry": GEOMETRY}}
POINT = {"point": [0.5, -1, 2e-3]}


def started(server, data=b"glTF") -> str:
    new = server.service.prepare("segment_parts", {"seed": 7}, "row.glb")
    return server.service.submit(new, {"mesh.glb": data})[0].id


def pickable(server, facts=None) -> str:
    """A finished job; returns where it is asked."""
    started(server)
    return f"/api/v1/jobs/{finish(server, FILES, facts or FOUND)}/picks"


def problem(answer):
    return answer.status_code, answer.json["code"]


def test_a_point_becomes_a_job_before_all_others_with_the_files_of_the_first(server):
    path = pickable(server)
    waiting = started(server)
    answer = server.client.post(path, json=POINT)
    assert answer.status_code == 202, answer.text
    made = answer.json
    assert (made["pipeline"], made["priority"], made["name"]) == (
        "part_at_point", "high", "row.glb"
    )  # fmt: skip
    assert made["params"] == {
        "x": 0.5, "y": -1.0, "z": 0.002, "points": 20_000, "geometry": GEOMETRY, "seed": 7
    }  # fmt: skip
    assert server.client.get(f"/jobs/{made['id']}").status_code == 200
    listed = [job["id"] for job in server.client.get("/api/v1/jobs").json["items"]]
    assert made["id"] not in listed
    assert waiting in listed
    claimed = server.claim()
    assert claimed.id == made["id"]
    artefacts = server.service.artefacts
    files = {name: artefacts.input_path(made["id"], name) for name in claimed.inputs}
    assert files["mesh.glb"].read_bytes() == b"glTF"
    assert files["part_tree.npz"].read_bytes() == FILES["part_tree.npz"][1]


def test_files_that_jobs_share_take_their_room_once_and_outlive_the_first(server):
    path = pickable(server)
    source = path.split("/")[4]
    before = server.service.artefacts.size_bytes(source)
    picks = [server.client.post(path, json=POINT).json["id"] for _ in range(3)]
    sizes = [server.service.artefacts.size_bytes(job) for job in (source, *picks)]
    assert sum(sizes) == pytest.approx(before, abs=2 * len(sizes))
    server.service.delete(source)
    assert server.service.artefacts.input_path(picks[0], "mesh.glb").read_bytes() == b"glTF"


@pytest.mark.parametrize("point", [
    None, 3, [], [1, 2], [1, 2, 3, 4], [1, 2, "3"], [1, 2, True], [1, 2, None], [1, 2, 10**400],
    [1, 2, 1e31],
])  # fmt: skip
def test_what_is_no_point_is_refused(server, point):
    answer = server.client.post(pickable(server), json={"point": point})
    assert problem(answer) == (422, "invalid-parameter")
    assert answer.json["errors"][0]["pointer"] == "/point"


@pytest.mark.parametrize("path", ["/api/v1/jobs", "/api/v1/batches"])
def test_a_point_of_no_job_is_refused_with_where_to_send_it(server, path):
    sent = {"pipeline": "part_at_point", "x": "0", "y": "0", "z": "0"}
    file = "file" if path.endswith("jobs") else "files"
    sent[file] = (io.BytesIO(b"glTF"), "toy.glb")
    answer = server.client.post(path, data=sent)
    assert problem(answer) == (422, "invalid-parameter")
    if path.endswith("jobs"):
        assert "/picks" in answer.json["advice"]


def test_parts_that_p3sam_has_not_found_cannot_be_picked(server):
    answer = server.client.post(
        pickable(server, {"parts": {"engine": "line_of_sight_parts"}}), json=POINT
    )
    assert problem(answer) == (409, "picking-unavailable")
    assert "line_of_sight_parts" in answer.json["detail"]
    assert "p3sam" in answer.json["advice"]


def test_a_job_that_is_not_there_yet_or_no_more_cannot_be_asked(server):
    running = started(server)
    answer = server.client.post(f"/api/v1/jobs/{running}/picks", json=POINT)
    assert problem(answer) == (409, "job-not-finished")
    path = f"/api/v1/jobs/{finish(server, FILES, FOUND)}/picks"
    server.service.artefacts.remove_inputs(running)
    assert problem(server.client.post(path, json=POINT)) == (410, "files-expired")
    assert problem(server.client.post("/api/v1/jobs/nobody/picks", json=POINT))[0] == 404
    failed = started(server)
    server.service.cancel(failed)
    assert server.service.store.get(failed).status is JobState.CANCELED
    answer = server.client.post(f"/api/v1/jobs/{failed}/picks", json=POINT)
    assert problem(answer) == (409, "picking-unavailable")


def test_only_who_has_the_job_may_ask_and_it_counts_as_a_submit(make_server):
    server = make_server(require_key=True)
    ann, ben = Caller(server, "ann"), Caller(server, "ben")
    work_for(ann.key)
    path = pickable(server)
    work_for(None)
    answer = ann.post(path, json=POINT)
    assert answer.status_code == 202
    assert "submits" in answer.headers["RateLimit"]
    assert ben.post(path, json=POINT).status_code == 404
    assert server.app.test_client().post(path, json=POINT).status_code == 401
    browser, token = logged_in(server, ann.secret)
    assert browser.post(path, json=POINT).status_code == 403
    assert browser.post(path, json=POINT, headers={"X-CSRF-Token": token}).status_code == 202


def test_patches_of_a_mask_become_a_part_of_their_own(server):
    path = pickable(server).replace("/picks", "/parts")
    before = server.client.get(path).json
    taken = [0, 3, 5]
    edit = {"json": {"part": taken}, "headers": {"If-Match": '"1"'}}
    after = server.client.patch(path, **edit).json
    numbers = {after["patch_parts"][patch] for patch in taken}
    assert len(numbers) == 1
    assert after["patch_parts"].count(*numbers) == 3
    emptied = sum(
        all(at in taken for at, own in enumerate(before["patch_parts"]) if own == part)
        for part in set(before["patch_parts"])
    )
    assert len(after["parts"]) == len(before["parts"]) + 1 - emptied
    assert server.client.get(f"{path}/versions").json["items"][0]["count"] == len(after["parts"])
    again = server.client.patch(path, json={"part": taken}, headers={"If-Match": "*"})
    assert problem(again) == (422, "invalid-parameter")
    assert "a part already" in again.json["detail"]
