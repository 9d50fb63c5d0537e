from __future__ import annotations

import hashlib

import pytest

GLB = b"glTF" + bytes(range(256)) * 8


@pytest.fixture
def finished(server, small_png):
    job = server.submit(small_png, name="stühl.png")
    server.finish(server.claim(), {"model.glb": GLB, "thumbnail.png": small_png})
    return server.client.get(job["links"]["self"]).json


def url(job, name="model.glb"):
    return next(output["url"] for output in job["outputs"] if output["name"] == name)


def test_a_result_is_an_attachment_with_its_hash(server, finished):
    answer = server.client.get(url(finished))
    assert answer.data == GLB
    assert answer.headers["ETag"] == f'"{hashlib.sha256(GLB).hexdigest()}"'
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Type"] == "model/gltf-binary"
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    answer.close()


def test_inline_for_pictures_and_glb_only(server, finished):
    for name in ("model.glb", "thumbnail.png"):
        answer = server.client.get(url(finished, name) + "?inline=1")
        assert answer.headers["Content-Disposition"].startswith("inline")
        answer.close()


def test_stl_is_never_inline(server, small_png):
    job = server.submit(small_png)
    server.finish(server.claim(), {"model.stl": b"solid"})
    answer = server.client.get(f"/api/v1/jobs/{job['id']}/files/model.stl?inline=1")
    assert answer.headers["Content-Disposition"].startswith("attachment")
    answer.close()


def test_ranges(server, finished):
    answer = server.client.get(url(finished), headers={"Range": "bytes=4-7"})
    assert (answer.status_code, answer.data) == (206, GLB[4:8])
    assert answer.headers["Content-Range"] == f"bytes 4-7/{len(GLB)}"
    answer.close()
    beyond = server.client.get(url(finished), headers={"Range": "bytes=99999-"})
    assert beyond.status_code == 416
    assert beyond.headers["Content-Range"] == f"bytes */{len(GLB)}"


def test_not_changed(server, finished):
    etag = f'"{hashlib.sha256(GLB).hexdigest()}"'
    answer = server.client.get(url(finished), headers={"If-None-Match": etag})
    assert (answer.status_code, answer.data) == (304, b"")
    answer.close()


def test_a_running_attempt_shows_its_files(server, small_png):
    job = server.submit(small_png)
    claim = server.claim()
    folder = server.service.artefacts.work_dir(claim.id, claim.attempt)
    (folder / "preview.glb").write_bytes(GLB)
    (folder / "notes.txt").write_bytes(b"ours")
    base = f"/api/v1/jobs/{job['id']}/files"
    answer = server.client.get(f"{base}/preview.glb?inline=1")
    assert (answer.status_code, answer.data) == (200, GLB)
    answer.close()
    assert server.client.get(f"{base}/notes.txt").status_code == 404


def test_files_on_their_way_to_the_results_are_shown_all_the_same(server, small_png):
    job = server.submit(small_png)
    claim = server.claim()
    folder = server.service.artefacts.work_dir(claim.id, claim.attempt)
    (folder / "preview.glb").write_bytes(GLB)
    folder.rename(folder.with_name(f"output-{claim.attempt}"))  # before the row tells the end
    answer = server.client.get(f"/api/v1/jobs/{job['id']}/files/preview.glb?inline=1")
    assert (answer.status_code, answer.data) == (200, GLB)
    answer.close()


def test_the_normalised_upload_is_offered(server, small_png):
    job = server.submit(small_png)
    answer = server.client.get(f"/api/v1/jobs/{job['id']}/files/image.png?inline=1")
    assert answer.data.startswith(b"\x89PNG")
    answer.close()


def test_removed_files_are_gone_not_unknown(server, finished):
    server.service.artefacts.remove(finished["id"])
    answer = server.client.get(url(finished))
    assert (answer.status_code, answer.json["code"]) == (410, "files-expired")


@pytest.mark.parametrize(
    "name",
    ["..%2f..%2fmeshkiln.sqlite3", "%00", "model.glb%00.png", "%2fetc%2fpasswd", "..", "none.glb",
     "..%5cx.png", ".hidden", "model.GLB"],
)  # fmt: skip
def test_a_path_in_the_name_is_not_found(server, finished, name):
    """Row 33 of the abuse table."""
    answer = server.client.get(f"/api/v1/jobs/{finished['id']}/files/{name}")
    assert (answer.status_code, answer.json["code"]) == (404, "not-found")
