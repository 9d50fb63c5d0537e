from __future__ import annotations

import csv
import io
import json
import zipfile

from backend.errors import OutOfMemory
from backend.web.api.openapi import document
from tests.web.batch_requests import URL, accepted, data_uri, lines, part, send


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
