from __future__ import annotations

import base64
import csv
import io
import json
import zipfile

import pytest
from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.test import encode_multipart

from backend.errors import OutOfMemory
from backend.web import batch_submission
from backend.web.api.openapi import document

URL = "/api/v1/batches"


def part(data: bytes, name: str):
    return FileStorage(io.BytesIO(data), name)


def send(server, headers=None, url=URL, **fields):
    form = MultiDict({"pipeline": "image_to_3d", "preset": "draft"})
    for name, value in fields.items():
        form.setlist(name, value if isinstance(value, list) else [value])
    boundary, body = encode_multipart(form)
    kind = f"multipart/form-data; boundary={boundary}"
    return server.client.post(url, data=body, content_type=kind, headers=headers)


def accepted(server, png, *names, **fields):
    names = names or ("a.png", "b.png")
    answer = send(server, file=[part(png, name) for name in names], **fields)
    assert answer.status_code == 202, answer.text
    return answer.json


def data_uri(png):
    return "data:image/png;base64," + base64.b64encode(png).decode()


def zipped(*entries):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return buffer.getvalue()


def names_of(batch):
    return [item["custom_id"] for item in batch["items"]]


def job_of(server, item):
    return server.client.get(f"/api/v1/jobs/{item['job_id']}").json


def test_many_files_become_a_batch(server, small_png):
    answer = send(server, file=[part(small_png, "a.png"), part(small_png, "b.png")], name="toys")
    batch = answer.json
    assert answer.status_code == 202
    assert answer.headers["Location"] == batch["links"]["self"]
    assert batch["counts"] == {
        "total": 2, "queued": 2, "running": 0, "succeeded": 0, "failed": 0, "canceled": 0,
        "refused": 0, "deleted": 0,
    }  # fmt: skip
    assert (batch["name"], batch["status"]) == ("toys", "queued")
    assert names_of(batch) == ["a.png", "b.png"]
    job = job_of(server, batch["items"][0])
    assert (job["batch_id"], job["name"]) == (batch["id"], "a.png")
    assert job["params"]["preset"] == "draft"
    listed = server.client.get(batch["links"]["jobs"]).json["items"]
    assert {job["id"] for job in listed} == {item["job_id"] for item in batch["items"]}
    again = server.client.get(batch["links"]["self"])
    assert again.json == batch | {"warnings": []}
    same = server.client.get(
        batch["links"]["self"], headers={"If-None-Match": again.headers["ETag"]}
    )
    assert same.status_code == 304


def test_files_of_the_same_name_are_told_apart(server, small_png):
    batch = accepted(server, small_png, "x/a.png", "y/a.png", "a (2).png", "a")
    assert names_of(batch) == ["a.png", "a (2).png", "a (2) (2).png", "a"]


def test_three_good_pictures_and_two_bad_ones(server, small_png):
    """Row 25 of the abuse table."""
    archive = zipped(
        ("one.png", small_png), ("notes.txt", b"hello"), ("sub/two.png", small_png),
        ("torn.png", small_png[:60]), ("three.png", small_png),
    )  # fmt: skip
    answer = send(server, archive=part(archive, "toys.zip"))
    assert answer.status_code == 202
    problems = {
        item["custom_id"]: item["problem"]["code"] for item in answer.json["items"]
        if "problem" in item
    }  # fmt: skip
    assert problems == {"notes.txt": "unsupported-image", "torn.png": "image-corrupt"}
    assert answer.json["counts"]["queued"] == server.count() == 3
    assert answer.json["counts"]["refused"] == 2
    assert job_of(server, answer.json["items"][2])["name"] == "two.png"


@pytest.mark.parametrize("name", ["../evil.png", "/evil.png"])
def test_an_archive_that_points_elsewhere_is_refused_whole(server, small_png, name):
    """Row 24 of the abuse table."""
    answer = send(server, archive=part(zipped(("a.png", small_png), (name, b"x")), "x.zip"))
    assert (answer.status_code, answer.json["code"]) == (422, "archive-invalid")
    assert "evil.png" in answer.json["detail"]
    assert server.count() == 0
    assert server.client.get(URL).json["items"] == []


def lines(*items):
    return "\n".join(json.dumps(item) for item in items)


def test_json_lines_as_a_field_or_a_file(server, small_png):
    text = lines(
        {"custom_id": "first", "image": data_uri(small_png), "params": {"seed": 7}},
        {"image": data_uri(small_png), "preset": "high"},
    )
    for sent in (text, part(text.encode(), "items.jsonl")):
        batch = send(server, items=sent).json
        assert names_of(batch) == ["first", "item-2"]
        one, two = (job_of(server, item)["params"] for item in batch["items"])
        assert (one["seed"], one["preset"]) == (7, "draft")
        assert two["preset"] == "high", "an item's own parameters come first"


def test_a_json_body(server, small_png):
    body = {
        "pipeline": "image_to_3d",
        "priority": "high",
        "params": {"preset": "draft", "size_m": 2},
        "items": [
            {"custom_id": "a", "image": data_uri(small_png)},
            {"image": data_uri(small_png), "params": {"size_m": 3}, "priority": "low", "name": "B"},
        ],
    }
    answer = server.client.post(URL, json=body)
    assert answer.status_code == 202
    one, two = (job_of(server, item) for item in answer.json["items"])
    assert (one["params"]["size_m"], one["priority"]) == (2, "high")
    assert (two["params"]["size_m"], two["priority"], two["name"]) == (3, "low", "B")


def test_a_stream_of_json_lines(server, small_png):
    answer = server.client.post(
        f"{URL}?preset=draft&name=streamed",
        data=lines({"custom_id": "a", "image": data_uri(small_png)}) + "\n\n",
        content_type="application/x-ndjson",
    )
    assert (answer.status_code, answer.json["name"]) == (202, "streamed")
    assert job_of(server, answer.json["items"][0])["params"]["preset"] == "draft"


def test_lines_may_name_files_that_are_sent_beside_them(server, small_png):
    names = ("a/x.png", "b/x.png", "ü.png")
    files = [part(small_png, name) for name in names]
    text = lines(
        {"custom_id": "first", "file": "b/x.png", "params": {"seed": 5}},
        {"file": "ü.png"},
        {"custom_id": "a/x.png", "file": "a/x.png"},
        {"custom_id": "gone", "file": "c.png"},
    )
    batch = send(server, file=files, items=text).json
    assert names_of(batch) == ["first", "ü.png", "a/x.png", "gone"]
    assert job_of(server, batch["items"][0])["params"]["seed"] == 5
    assert batch["items"][3]["problem"]["code"] == "missing-file"
    for left in (lines({"file": "a/x.png"}, {"file": "b/x.png"}), lines(*[{"file": "ü.png"}] * 2)):
        answer = send(server, file=files, items=left)
        assert (answer.status_code, answer.json["code"]) == (422, "invalid-parameter")


@pytest.mark.parametrize(
    ("item", "code"),
    [
        ('{"custom_id": "x", "image": ', "malformed-request"),
        ('{"custom_id": "x"}', "missing-file"),
        ('{"custom_id": "x", "image": "data:image/png;base64,####"}', "invalid-parameter"),
        ('{"custom_id": "x", "image": "IMAGE", "steps": 5}', "invalid-parameter"),
        ('{"custom_id": "x", "image": "IMAGE", "params": {"preset": "best"}}', "invalid-parameter"),
        ('{"custom_id": "x", "image": "IMAGE", "pipeline": "tune"}', "invalid-parameter"),
        ('{"custom_id": "x", "image": "IMAGE", "webhook_url": "https://a.b"}', "invalid-parameter"),
        ('{"custom_id": "x", "image_url": "http://127.0.0.1/"}', "url-not-allowed"),
        ('{"custom_id": "x", "file": "a.png"}', "missing-file"),
        ('{"custom_id": "x", "file": 5}', "invalid-parameter"),
        ('{"custom_id": "x", "image": "IMAGE", "file": "a.png"}', "invalid-parameter"),
        ("[1]", "malformed-request"),
    ],
)
def test_what_is_wrong_with_one_item_stops_no_other(server, small_png, item, code):
    good = json.dumps({"custom_id": "good", "image": data_uri(small_png)})
    answer = send(server, items=f"{item.replace('IMAGE', data_uri(small_png))}\n{good}")
    assert answer.status_code == 202, answer.text
    bad, kept = answer.json["items"]
    assert bad["problem"]["code"] == code
    assert kept["custom_id"] == "good"
    assert "job_id" in kept


def test_pictures_by_address_are_fetched_for_so_long_only(make_server, small_png, monkeypatch):
    server = make_server(fetch_urls=True)
    asked = []

    def fetch(url, *_):
        asked.append(url)
        return "chair.png", small_png

    monkeypatch.setattr(batch_submission, "fetch_picture", fetch)
    items = [{"custom_id": name, "image_url": f"https://a.example/{name}"} for name in "ab"]
    batch = send(server, items=lines(*items)).json
    assert batch["counts"]["queued"] == 2
    assert job_of(server, batch["items"][0])["name"] == "chair.png"
    monkeypatch.setattr(batch_submission, "FETCH_BUDGET_S", -1.0)
    late = send(server, items=lines(*items, {"custom_id": "c", "image": data_uri(small_png)})).json
    assert [item["status"] for item in late["items"]] == ["refused", "refused", "queued"]
    assert late["items"][0]["problem"]["code"] == "url-unreachable"
    assert len(asked) == 2


def test_the_end_of_a_batch_may_be_told(server, small_png, monkeypatch):
    monkeypatch.setattr(server.service.webhooks, "check", lambda url: None)
    batch = accepted(server, small_png, webhook_url="https://a.example/hook")
    told = [server.client.get(f"/api/v1/jobs/{i['job_id']}/webhook") for i in batch["items"]]
    assert {answer.status_code for answer in told} == {404}, "its jobs have none of their own"
    monkeypatch.undo()
    refused = send(server, file=part(small_png, "a.png"), webhook_url="http://127.0.0.1/")
    assert (refused.status_code, refused.json["code"]) == (422, "url-not-allowed")


@pytest.mark.parametrize("custom_id", ["twice", "", "a\nb", "x" * 201, 5, None])
def test_names_must_be_unique_and_fit_to_be_shown(server, small_png, custom_id):
    items = [
        {"custom_id": "twice", "image": data_uri(small_png)},
        {"custom_id": custom_id, "image": data_uri(small_png)},
    ]
    answer = send(server, items=lines(*items))
    if custom_id is None:
        assert names_of(answer.json) == ["twice", "item-2"]
        return
    assert (answer.status_code, answer.json["code"]) == (422, "invalid-parameter")
    assert answer.json["errors"][0]["pointer"] == "/items/1/custom_id"
    if custom_id == "twice":
        assert "'twice'" in answer.json["detail"]
    assert server.count() == 0


def test_a_batch_is_made_from_one_source(server, small_png):
    both = send(server, file=part(small_png, "a.png"), archive=part(zipped(), "a.zip"))
    assert (both.status_code, both.json["code"]) == (422, "invalid-parameter")
    other = send(server, picture=part(small_png, "a.png"))
    assert other.json["errors"][0]["pointer"] == "/picture"
    for nothing in (send(server), send(server, file=part(b"", "")), send(server, items="\n")):
        assert (nothing.status_code, nothing.json["code"]) == (400, "missing-file")


def test_what_the_items_share_is_judged_first(server, small_png):
    answer = send(server, file=part(small_png, "a.png"), preset="best")
    assert (answer.status_code, answer.json["errors"][0]["pointer"]) == (422, "/params/preset")
    answer = send(server, file=part(small_png, "a.png"), pipeline="magic")
    assert answer.json["errors"][0]["pointer"] == "/pipeline"
    answer = server.client.post(URL, data=b"x", content_type="text/plain")
    assert (answer.status_code, answer.json["code"]) == (400, "malformed-request")


def test_a_batch_of_bad_items_only_is_none(server):
    answer = send(server, file=[part(b"x", "a.png"), part(b"y", "b.png")])
    assert (answer.status_code, answer.json["code"]) == (422, "nothing-accepted")
    assert [error["pointer"] for error in answer.json["errors"]] == ["/items/0", "/items/1"]
    assert server.client.get(URL).json["items"] == []


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


def test_pause_resume_and_cancel(server, small_png):
    links = accepted(server, small_png)["links"]
    server.claim()
    paused = server.client.post(links["pause"])
    assert (paused.status_code, paused.json["status"]) == (202, "paused")
    assert server.service.claims.claim("gpu", "t:1:1") == []
    assert server.client.post(links["resume"]).json["status"] == "running"
    canceled = server.client.post(links["cancel"])
    assert (canceled.status_code, canceled.json["status"]) == (202, "canceling")
    assert [item["status"] for item in canceled.json["items"]] == ["canceling", "canceled"]


def test_orders_that_come_too_late(server, small_png):
    links = accepted(server, small_png, "a.png")["links"]
    server.finish(server.claim(), {"model.glb": b"x"})
    for verb in ("cancel", "pause"):
        answer = server.client.post(links[verb])
        assert (answer.status_code, answer.json["code"]) == (409, "batch-finished")
    answer = server.client.post(links["retry_failed"])
    assert (answer.status_code, answer.json["code"]) == (409, "nothing-failed")


def test_failed_items_run_again(server, small_png):
    batch = accepted(server, small_png)
    assert server.service.claims.fail(server.claim(), OutOfMemory())
    answer = server.client.post(batch["links"]["retry_failed"])
    assert (answer.status_code, answer.json["counts"]["queued"]) == (202, 2)
    item = answer.json["items"][0]
    assert item["job_id"] != batch["items"][0]["job_id"]
    assert job_of(server, item)["retry_of"] == batch["items"][0]["job_id"]


def test_results_are_a_line_for_each_item(server, small_png):
    pictures = {"a.png": small_png, "b.png": b"x", "c.png": small_png, "d.png": small_png}
    batch = send(server, file=[part(data, name) for name, data in pictures.items()]).json
    server.finish(server.claim(), {"model.glb": b"glb"})
    assert server.service.claims.fail(server.claim(), OutOfMemory())
    answer = server.client.get(batch["links"]["results"])
    assert answer.mimetype == "application/x-ndjson"
    made, refused, failed, waiting = (json.loads(line) for line in answer.text.splitlines())
    assert (made["custom_id"], made["status"], made["error"]) == ("a.png", "succeeded", None)
    with server.client.get(made["outputs"][0]["url"]) as file:
        assert file.data == b"glb"
    assert (refused["status"], refused["error"]["code"]) == ("refused", "unsupported-image")
    assert (failed["status"], failed["error"]["code"]) == ("failed", "out-of-memory")
    assert (waiting["status"], waiting["outputs"]) == ("queued", [])


def unzipped(server, batch):
    answer = server.client.get(batch["links"]["archive"])
    assert answer.headers["Content-Disposition"].endswith(f'{batch["id"]}.zip"')
    archive = zipfile.ZipFile(io.BytesIO(answer.data))
    assert archive.testzip() is None
    return archive


def test_archive_holds_what_succeeded_and_says_what_did_not(server, small_png):
    batch = accepted(server, small_png, "a.png", "../../b:?.png", "c.png")
    server.finish(server.claim(), {"model.glb": b"first", "thumbnail.png": b"t" * 700_000})
    server.finish(server.claim(), {"model.glb": b"second"})
    archive = unzipped(server, batch)
    pictures = ["a.png/model.glb", "a.png/thumbnail.png", "b_.png/model.glb"]
    assert archive.namelist() == [*pictures, "manifest.json", "manifest.csv"]
    assert archive.read("a.png/model.glb") == b"first"
    assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
    manifest = json.loads(archive.read("manifest.json"))
    assert [item["status"] for item in manifest["items"]] == ["succeeded", "succeeded", "queued"]
    assert manifest["items"][1]["files"][0]["path"] == "b_.png/model.glb"
    assert manifest["items"][2]["folder"] is None


def test_archive_is_the_same_each_time(server, small_png):
    batch = accepted(server, small_png, "a.png", "A.PNG")
    for data in (b"first", b"second"):
        server.finish(server.claim(), {"model.glb": data})
    first, again = (server.client.get(batch["links"]["archive"]).data for _ in range(2))
    assert first == again
    assert "A.PNG~2/model.glb" in unzipped(server, batch).namelist()


def test_archive_comes_in_pieces(server, small_png):
    batch = accepted(server, small_png, "a.png")
    server.finish(server.claim(), {"model.glb": bytes(3_000_000)})
    answer = server.client.get(batch["links"]["archive"], buffered=False)
    sizes = [len(chunk) for chunk in answer.iter_encoded()]
    assert max(sizes) < 600_000
    assert sum(sizes) > 3_000_000


def test_a_file_that_is_gone_is_left_out_and_named(server, small_png):
    batch = accepted(server, small_png, "a.png")
    job = server.claim()
    server.finish(job, {"model.glb": b"x", "thumbnail.png": b"t"})
    server.service.artefacts.output_path(job.id, job.attempt, "model.glb").unlink()
    archive = unzipped(server, batch)
    assert "a.png/model.glb" not in archive.namelist()
    (item,) = json.loads(archive.read("manifest.json"))["items"]
    assert item["missing_files"] == ["model.glb"]
    assert [file["path"] for file in item["files"]] == ["a.png/thumbnail.png"]


def test_manifest_as_json_and_csv(server, small_png):
    item = {"custom_id": "=HYPERLINK(1)", "image": data_uri(small_png), "seed": 3}
    batch = send(server, items=lines(item, {"custom_id": "b,c", "image": "x"})).json
    server.finish(server.claim(), {"model.glb": b"12345"})
    link = batch["links"]["manifest"]
    found = server.client.get(link).json
    assert [row["custom_id"] for row in found["items"]] == ["=HYPERLINK(1)", "b,c"]
    answer = server.client.get(f"{link}?format=csv")
    assert answer.headers["Content-Type"].startswith("text/csv")
    first, second = csv.DictReader(io.StringIO(answer.text))
    assert first["custom_id"] == "'=HYPERLINK(1)", "a spreadsheet must not calculate it"
    assert (first["seed"], first["files"], first["bytes"]) == ("3", "1", "5")
    assert (second["custom_id"], second["error_code"]) == ("b,c", "invalid-parameter")
    assert server.client.get(f"{link}?format=xml").status_code == 422


def test_list_pages_by_its_next_address(server, small_png):
    made = [accepted(server, small_png, "a.png")["id"] for _ in range(3)]
    found, address = [], f"{URL}?limit=2"
    while address:
        page = server.client.get(address).json
        found += [batch["id"] for batch in page["items"]]
        assert all("items" not in batch for batch in page["items"])
        address = page["next"]
    assert found == made[::-1]
    for query in ("limit=0", "limit=201", "cursor=x"):
        assert server.client.get(f"{URL}?{query}").status_code == 422


@pytest.mark.parametrize("verb", ["", "/results", "/archive", "/manifest"])
def test_unknown_batches(server, verb):
    for batch_id in ("0" * 26, "x", "..%2fx"):
        answer = server.client.get(f"{URL}/{batch_id}{verb}")
        assert (answer.status_code, answer.json["code"]) == (404, "not-found")


@pytest.mark.parametrize("verb", ["cancel", "pause", "resume", "retry-failed"])
def test_orders_to_unknown_batches(server, verb):
    assert server.client.post(f"{URL}/{'0' * 26}/{verb}").status_code == 404


def test_a_real_batch_has_the_documented_members(server, small_png):
    schemas = document()["components"]["schemas"]
    batch = accepted(server, small_png)
    assert set(batch) == set(schemas["Batch"]["properties"])
    assert set(batch["counts"]) == set(schemas["Batch"]["properties"]["counts"]["properties"])
    page = server.client.get(URL).json["items"][0]
    listed = schemas["BatchPage"]["properties"]["items"]["items"]["properties"]
    assert set(page) == set(listed)
    manifest = server.client.get(batch["links"]["manifest"]).json
    assert set(manifest) == set(schemas["BatchManifest"]["properties"])
    row = schemas["BatchManifest"]["properties"]["items"]["items"]["properties"]
    assert set(manifest["items"][0]) == set(row)
