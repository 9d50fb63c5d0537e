from __future__ import annotations

import json

import pytest

from backend.web import batch_submission
from tests.web.batch_requests import (
    URL,
    accepted,
    data_uri,
    job_of,
    lines,
    names_of,
    part,
    send,
    zipped,
)


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
        ('{"custom_id": "x", "image": "IMAGE", "glaze": 5}', "invalid-parameter"),
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
