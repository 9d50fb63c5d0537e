from __future__ import annotations

import io
import json
import threading

import numpy as np
import pytest

from backend.jobs.parts.division import read_division
from backend.jobs.parts.face_ids import face_ids
from backend.jobs.parts.service import PartsService
from backend.jobs.parts.versions import KEPT
from tests.jobs.parts.made_tree import made_tree, tree_data, with_made_parts
from tests.web.conftest import MadeFile
from tests.web.keyed import Caller, logged_in
from tests.web.test_access import submitted

PATCHES = 12
FACE_PATCHES = np.random.default_rng(0).integers(0, PATCHES, 1000)
TREE = made_tree(PATCHES, seed=4, suggested=5)
TREE = with_made_parts(TREE, read_division(TREE).parts)
FILES = {
    "part_tree.json": ("part_tree", json.dumps(TREE).encode()),
    "part_tree.npz": ("part_tree_data", tree_data(FACE_PATCHES)),
    "part_01.glb": ("part_glb", b"glTF"),
    "part_01.stl": ("part_stl", b"solid"),
}


def finish(server, files=FILES, facts=None) -> str:
    """Finish the job that waits, with the files of a part pipeline; returns its id."""
    job = server.claim()
    folder = server.service.artefacts.work_dir(job.id, job.attempt)
    made = []
    for name, (role, data) in files.items():
        (folder / name).write_bytes(data)
        made.append(MadeFile(name, name.rpartition(".")[2], role, folder / name))
    outputs = server.service.artefacts.publish(job.id, job.attempt, made)
    assert server.service.claims.finish(job, outputs, facts or {})
    return job.id


@pytest.fixture
def path(server, small_png):
    server.submit(small_png)
    return f"/api/v1/jobs/{finish(server)}/parts"


def patch(server, path, edit, version=1, **headers):
    headers = {"If-Match": f'"{version}"'} | headers
    return server.client.patch(path, json=edit, headers=headers)


def test_the_first_version_is_what_the_pipeline_made(server, path):
    answer = server.client.get(path)
    assert answer.headers["ETag"] == '"1"'
    document = answer.json
    assert document["version"] == 1
    assert document["granularity"] == {"count": 5, "min": 1, "max": 12, "suggested": 5}
    assert [part["index"] for part in document["parts"]] == [0, 1, 2, 3, 4]
    division = read_division(TREE)
    for part, patches in zip(document["parts"], division.parts, strict=True):
        figures = TREE["patches"]
        assert part["faces"] == sum(figures["faces"][at] for at in patches)
        assert part["area"] == pytest.approx(sum(figures["areas"][at] for at in patches))
        assert part["box"] == [[min(patches), 0, 0], [max(patches) + 1, 1, 2]]
        assert part["centre"] == [(min(patches) + max(patches) + 1) / 2, 0.5, 1]
        assert part["color"] == TREE["palette"][part["index"]]
        assert (part["volume"], part["closed"]) == (0.5 + part["index"], True)
        assert part["name"] == f"part_{part['index']:02d}"
    names = [[file["name"] for file in part["files"]] for part in document["parts"]]
    assert names == [[], ["part_01.glb", "part_01.stl"], [], [], []]
    assert server.client.get(path, headers={"If-None-Match": '"1"'}).status_code == 304


def test_every_edit_is_a_new_version(server, path):
    edits = [{"count": 8}, {"merge": [2, 5]}, {"split": 2}, {"rename": {"2": "wheel"}},
             {"undo": True}, {"undo": True}, {"redo": True}]  # fmt: skip
    counts = [8, 7, 8, 8, 8, 7, 8]
    for version, (edit, count) in enumerate(zip(edits, counts, strict=True), start=1):
        answer = patch(server, path, edit, version)
        assert answer.status_code == 200, answer.text
        assert answer.headers["ETag"] == f'"{version + 1}"'
        assert (answer.json["version"], len(answer.json["parts"])) == (version + 1, count)
        assert server.client.get(path).json == answer.json
    assert server.client.get(f"{path}?version=5").json["parts"][2]["name"] == "wheel"
    assert server.client.get(f"{path}?version=1").json["granularity"]["count"] == 5
    assert answer.json["edits"][-1] == {"rename": {"2": "wheel"}}
    assert (len(answer.json["edits"]), answer.json["done"]) == (4, 3)


def test_what_was_edited_has_no_volume_and_no_files(server, path):
    document = patch(server, path, {"merge": [0, 1]}).json
    first, *others = document["parts"]
    assert (first["volume"], first["closed"], first["files"]) == (None, None, [])
    assert [part["volume"] for part in others] == [2.5, 3.5, 4.5]
    assert first["color"] == TREE["palette"][0]


def test_a_version_that_is_not_the_latest_cannot_be_edited(server, path):
    assert patch(server, path, {"count": 6}).status_code == 200
    stale = patch(server, path, {"count": 7})
    assert (stale.status_code, stale.json["code"]) == (412, "stale-version")
    assert "at version 2, not 1" in stale.json["detail"]
    assert patch(server, path, {"count": 7}, version="x").status_code == 412
    missing = server.client.patch(path, json={"count": 7})
    assert (missing.status_code, missing.json["code"]) == (428, "version-needed")
    assert "If-Match" in missing.json["advice"]
    two = server.client.patch(path, json={"count": 7}, headers={"If-Match": '"1", "2"'})
    assert (two.status_code, two.json["code"]) == (428, "version-needed")
    any_version = server.client.patch(path, json={"count": 7}, headers={"If-Match": "*"})
    assert any_version.json["version"] == 3
    weak = patch(server, path, {"count": 8}, **{"If-Match": 'W/"3"'})
    assert weak.json["version"] == 4


@pytest.mark.parametrize(("edit", "words"), [
    ({"count": 13}, "1 to 12 parts"), ({"count": 0}, "1 to 12 parts"),
    ({"merge": [0, 5]}, "no part 5"), ({"merge": [0, 0]}, "two different parts"),
    ({"split": 9}, "no part 9"), ({"undo": True}, "nothing to undo"),
    ({"redo": True}, "nothing to redo"), ({"paint": 1}, "not known here"),
    ({"count": 6, "split": 1}, "exactly one member"), ({}, "exactly one member"),
    ({"rename": {"0": "a" * 8000}}, None), ({"edits": [{"count": 6}, {"split": 77}]}, "no part 77"),
])  # fmt: skip
def test_an_edit_that_cannot_be_done_changes_nothing(server, path, edit, words):
    answer = patch(server, path, edit)
    if words is None:  # a long name is cut
        assert len(answer.json["parts"][0]["name"]) == 80
        return
    assert (answer.status_code, answer.json["code"]) == (422, "invalid-parameter")
    assert words in answer.json["detail"]
    assert server.client.get(path).json["version"] == 1


def test_names_are_cleaned(server, path):
    answer = patch(server, path, {"edits": [{"rename": {"1": " a\u202e\n<b> "}}, {"count": 6}]})
    assert answer.json["parts"][1]["name"] == "a<b>"
    assert answer.json["version"] == 2


def test_face_ids_follow_the_version(server, path):
    ids = {}
    document = patch(server, path, {"count": 9}).json
    for version in (1, 2):
        answer = server.client.get(f"{path}/{version}/face_ids.npy")
        assert (
            answer.headers["Content-Disposition"] == f"attachment; filename=face_ids-v{version}.npy"
        )
        assert int(answer.headers["Content-Length"]) == len(answer.data)
        ids[version] = np.load(io.BytesIO(answer.data), allow_pickle=False)
        assert ids[version].dtype == np.dtype("<i4")
    assert ids[1].tolist() == np.array(read_division(TREE).patch_parts)[FACE_PATCHES].tolist()
    assert ids[2].tolist() == np.array(document["patch_parts"])[FACE_PATCHES].tolist()
    for wrong in ("0", "3", "x", "99999999999", "-1"):
        assert server.client.get(f"{path}/{wrong}/face_ids.npy").status_code == 404
    assert server.client.head(f"{path}/2/face_ids.npy").headers["Content-Length"] == str(
        len(answer.data)
    )


def test_many_faces_are_sent_in_pieces(tmp_path):
    count = 200_001
    patches = np.random.default_rng(1).integers(0, 160, count)
    (tmp_path / "part_tree.npz").write_bytes(tree_data(patches))
    lookup = np.random.default_rng(2).integers(0, 9, 160)
    found = face_ids(tmp_path / "part_tree.npz", lookup.tolist())
    pieces = [*found.pieces]
    found.close()
    assert max(map(len, pieces)) <= 1 << 18
    assert sum(map(len, pieces)) == found.size_bytes
    assert np.array_equal(np.load(io.BytesIO(b"".join(pieces))), lookup[patches])


def test_only_the_last_versions_are_kept(server, path, monkeypatch):
    monkeypatch.setattr("backend.jobs.parts.versions.KEPT", 3)
    for version in range(1, 6):
        patch(server, path, {"count": 5 + version % 2}, version)
    seen = [server.client.get(f"{path}/{n}/face_ids.npy").status_code for n in range(1, 7)]
    assert seen == [200, 404, 404, 200, 200, 200]
    assert KEPT == 100


def test_versions_are_listed_the_newest_first(server, path):
    assert patch(server, path, {"edits": [{"count": 8}, {"merge": [0, 1]}]}).status_code == 200
    assert patch(server, path, {"undo": True}, 2).status_code == 200
    items = server.client.get(f"{path}/versions").json["items"]
    assert [(item["version"], item["count"], item["note"]) for item in items] == [
        (3, 8, "1 undone"),
        (2, 7, "number of parts, merge"),
        (1, 5, "as the job made it"),
    ]
    finished = server.client.get(path.removesuffix("/parts")).json["finished_at"]
    assert items[-1]["created_at"] == finished
    times = [item["created_at"] for item in items]
    assert times == sorted(times, reverse=True)
    for item in items:
        parts = server.client.get(f"{path}?version={item['version']}").json["parts"]
        assert len(parts) == item["count"]


def test_the_list_holds_what_can_be_opened(server, path, monkeypatch):
    monkeypatch.setattr("backend.jobs.parts.versions.KEPT", 2)
    for version in range(1, 5):
        patch(server, path, {"count": 5 + version % 2}, version)
    items = server.client.get(f"{path}/versions").json["items"]
    assert [item["version"] for item in items] == [5, 4, 1]
    assert items[1]["note"] == "3 edits in all"
    for item in items:
        assert server.client.get(f"{path}?version={item['version']}").status_code == 200


def test_the_page_lists_versions_without_javascript(server, small_png):
    server.submit(small_png)
    job = finish(server, FILES | {"surface.glb": ("surface", b"glTF")})
    path = f"/api/v1/jobs/{job}/parts"
    browser = server.app.test_client()
    assert "Table of versions" not in browser.get(f"/jobs/{job}").text, "there is only one"
    assert patch(server, path, {"merge": [0, 1]}).status_code == 200
    page = browser.get(f"/jobs/{job}").text
    assert "Table of versions" in page
    assert f'{path}/2/face_ids.npy" download' in page
    assert "<td>merge</td>" in page


def test_of_edits_at_the_same_time_one_wins(server, path):
    answers = []

    def edit():
        client = server.app.test_client()
        headers = {"If-Match": '"1"'}
        answers.append(client.patch(path, json={"count": 8}, headers=headers).status_code)

    threads = [threading.Thread(target=edit) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200, *[412] * 5]
    assert server.client.get(path).json["version"] == 2


def test_jobs_without_parts(server, small_png):
    job = server.submit(small_png)
    path = f"/api/v1/jobs/{job['id']}/parts"
    assert server.client.get(path).json["code"] == "job-not-finished"
    finish(server, {"model.glb": ("model", b"glTF")})
    assert server.client.get(path).status_code == 404
    assert patch(server, path, {"count": 3}).status_code == 404
    assert server.client.get("/api/v1/jobs/unknown/parts").status_code == 404


def test_a_tree_without_figures_has_nulls(server, small_png):
    server.submit(small_png)
    bare = {key: TREE[key] for key in ("patch_count", "merges", "costs", "suggested", "fewest")}
    job = finish(server, {"part_tree.json": ("part_tree", json.dumps(bare).encode())})
    part = server.client.get(f"/api/v1/jobs/{job}/parts").json["parts"][0]
    assert [part[key] for key in ("faces", "area", "box", "centre", "volume")] == [None] * 5
    assert server.client.get(f"/api/v1/jobs/{job}/parts/1/face_ids.npy").status_code == 404


def test_parts_of_others_look_as_if_there_were_none(make_server, small_png):
    keyed = make_server(require_key=True)
    ann, ben = Caller(keyed, "ann"), Caller(keyed, "ben")
    submitted(ann, small_png)
    path = f"/api/v1/jobs/{finish(keyed)}/parts"
    edit = {"json": {"count": 7}, "headers": {"If-Match": "*"}}
    assert ann.get(path).status_code == 200
    assert ann.ask("PATCH", path, **edit).json["version"] == 2
    assert ben.get(path).status_code == 404
    assert ben.ask("PATCH", path, **edit).status_code == 404
    assert ben.get(f"{path}/1/face_ids.npy").status_code == 404
    assert ben.get(f"{path}/versions").status_code == 404
    assert keyed.app.test_client().get(path).status_code == 401
    browser, token = logged_in(keyed, ann.secret)
    refused = browser.patch(path, json={"count": 6}, headers={"If-Match": "*"})
    assert refused.json["code"] == "csrf-failed"
    headers = {"If-Match": "*", "X-CSRF-Token": token}
    assert browser.patch(path, json={"count": 6}, headers=headers).json["version"] == 3


def test_versions_go_with_the_job(server, path):
    patch(server, path, {"count": 6})
    service = PartsService(server.service)
    job_id = path.split("/")[4]
    assert service.look(job_id).version.number == 2
    server.client.delete(f"/api/v1/jobs/{job_id}")
    assert server.client.get(path).status_code == 404
