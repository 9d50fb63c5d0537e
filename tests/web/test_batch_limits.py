from __future__ import annotations

from backend.web import batch_submission
from tests.web.batch_requests import URL, accepted, data_uri, lines, part, send, zipped


def test_same_key_same_batch(server, small_png):
    """Row 31 of the abuse table, for batches."""

    def submit(*names, **fields):
        files = [part(small_png, name) for name in names]
        return send(server, {"Idempotency-Key": "k1"}, file=files, **fields)

    first, again = submit("a.png", "b.png"), submit("a.png", "b.png")
    assert (first.status_code, again.status_code) == (202, 200)
    assert first.json["id"] == again.json["id"]
    assert server.count() == 2
    for other in (submit("a.png"), submit("a.png", "c.png"), submit("a.png", "b.png", size_m="2")):
        assert (other.status_code, other.json["code"]) == (422, "idempotency-key-reused")


def test_too_many_items(make_server, small_png):
    """Row 26 of the abuse table: files, lines, objects and archives alike."""
    server = make_server(max_batch_items=3)
    item = {"image": data_uri(small_png)}
    archive = zipped(*[(f"{i}.png", small_png) for i in range(4)])
    for answer in (
        send(server, file=[part(small_png, f"{i}.png") for i in range(4)]),
        send(server, items=lines(*[item] * 4)),
        send(server, archive=part(archive, "a.zip")),
        server.client.post(URL, json={"items": [item] * 4}),
    ):
        assert (answer.status_code, answer.json["code"]) == (413, "batch-too-large")
    assert server.count() == 0
    assert send(server, file=[part(small_png, f"{i}.png") for i in range(3)]).status_code == 202


def test_ten_thousand_and_one_files_are_refused_while_they_arrive(server):
    files = [part(b"x", f"{i}.png") for i in range(10_001)]
    answer = send(server, file=files)
    assert (answer.status_code, answer.json["code"]) == (413, "batch-too-large")


def test_batches_have_a_limit_of_their_own(make_server, small_png):
    server = make_server(max_upload_mb=1, max_batch_upload_mb=3)
    noise = bytes(900_000)
    many = [part(small_png, "a.png"), part(noise, "b.png"), part(noise, "c.png")]
    assert send(server, file=many).status_code == 202, "more than one picture may be"
    over = send(server, file=[part(noise, f"{i}.png") for i in range(4)])
    assert (over.status_code, over.json["code"]) == (413, "upload-too-large")
    single = send(server, url="/api/v1/jobs", file=part(bytes(1_100_000), "a.png"))
    assert single.status_code == 413, "single jobs keep their limit"
    one = send(server, file=[part(small_png, "a.png"), part(bytes(1_100_000), "b.png")]).json
    assert one["items"][1]["problem"]["code"] == "upload-too-large"
    body = {"items": [{"image": data_uri(bytes(900_000))}] * 2}
    assert server.client.post(URL, json=body).status_code == 413, "JSON is held in memory"


def test_files_wait_on_disk_and_leave_nothing_behind(server, small_png, monkeypatch):
    seen = []

    def look(files, settings):
        seen.extend(type(file.stream).__name__ for file in files)
        return real(files, settings)

    real = batch_submission.from_files
    monkeypatch.setattr(batch_submission, "from_files", look)
    accepted(server, small_png)
    assert seen == ["SpooledPart"] * 2, "also small ones, of which there may be a thousand"
    assert list((server.service.settings.data_dir / "incoming").iterdir()) == []


def test_a_full_disk_is_told(server, small_png, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.pwrite", full)
    answer = send(server, file=[part(small_png, "a.png")])
    assert (answer.status_code, answer.json["code"]) == (507, "storage-full")
    assert server.count() == 0


def test_what_finds_no_room_is_told_and_a_full_queue_refuses(make_server, small_png):
    server = make_server(max_queued_jobs=2)
    batch = accepted(server, small_png, "a.png", "b.png", "c.png")
    assert batch["items"][2]["problem"]["code"] == "queue-full"
    answer = send(server, file=[part(small_png, "d.png")])
    assert (answer.status_code, answer.json["code"]) == (503, "queue-full")
    assert int(answer.headers["Retry-After"]) > 0


def test_a_browser_needs_its_token(server, small_png):
    server.client.get("/")
    cookie = server.client.get_cookie("mk_csrf").value
    assert send(server, file=part(small_png, "a.png")).json["code"] == "csrf-failed"
    assert send(server, file=part(small_png, "a.png"), csrf_token=cookie).status_code == 202
    htmx = {"HX-Request": "true", "X-CSRF-Token": cookie}
    answer = send(server, htmx, file=part(small_png, "a.png"))
    assert answer.headers["HX-Redirect"].startswith("/batches/")
