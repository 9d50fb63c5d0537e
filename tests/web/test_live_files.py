"""What somebody sees who opens the page of a running job: the files that are there already."""

from __future__ import annotations

import hashlib
import threading

from backend.web.job_feed import JobFeed


def attempt(server, job):
    return server.service.artefacts.work_dir(job.id, job.attempt)


def snapshot(server, job):
    feed = JobFeed(server.service, job.id, None, threading.Event())
    return {output["role"]: output for output in feed._waiting[0].data["job"]["outputs"]}


def test_the_newest_preview_is_in_the_first_page_and_in_the_snapshot(server, small_png):
    server.submit(small_png)
    job = server.claim()
    page = f"/jobs/{job.id}"
    assert 'data-preview=""' in server.client.get(page).text
    assert snapshot(server, job) == {}
    folder = attempt(server, job)
    for data in (b"glTF one", b"glTF two"):
        (folder / "preview.glb").write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        for path in (page, f"{page}/live"):
            assert f"preview.glb?inline=1&amp;v={digest[:8]}" in server.client.get(path).text
        preview = snapshot(server, job)["preview"]
        assert (preview["sha256"], preview["bytes"]) == (digest, len(data))
    (folder / "cutout.png").write_bytes(small_png)
    assert set(snapshot(server, job)) == {"preview", "cutout"}


def test_an_ended_job_has_the_outputs_of_its_row(server, small_png):
    server.submit(small_png)
    job = server.claim()
    (attempt(server, job) / "mask.png").write_bytes(small_png)
    server.finish(job, {"model.glb": b"glTF"})
    assert set(snapshot(server, job)) == {"model"}
