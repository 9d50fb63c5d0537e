"""Rows 27 to 45 of the abuse table that concern requests: bodies, addresses, origins, hosts."""

from __future__ import annotations

import base64
import io
import json
import logging

import pytest
from gunicorn.http.errors import InvalidChunkSize

from backend.errors import StorageFull
from backend.web.request_log import JsonFormatter

JSON = {"content_type": "application/json"}


def data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


MALFORMED = {
    "duplicate key": b'{"pipeline": "cut_out", "pipeline": "image_to_3d"}',
    "nan": b'{"params": {"size_m": NaN}}',
    "infinity": b'{"params": {"size_m": -Infinity}}',
    "depth 10k": b'{"params": ' + b"[" * 10000 + b"]" * 10000 + b"}",
    "depth 100": b'{"params": ' + b"[" * 100 + b"]" * 100 + b"}",
    "not an object": b"[1]",
    "not json": b"{",
    "not utf-8": b'{"name": "\xff"}',
    "endless number": b'{"params": {"seed": ' + b"9" * 10000 + b"}}",
}


@pytest.mark.parametrize("row", MALFORMED)
def test_row_27_malformed_json(server, row):
    answer = server.client.post("/api/v1/jobs", data=MALFORMED[row], **JSON)
    assert (answer.status_code, answer.json["code"]) == (400, "malformed-request"), answer.text
    assert answer.mimetype == "application/problem+json"


WRONG_PARAMS = {
    "unknown": ({"octree": 99999}, "/params/octree"),
    "wrong type": ({"texture": "maybe"}, "/params/texture"),
    "list": ({"preset": ["draft"]}, "/params/preset"),
    "negative": ({"target_faces": -1}, "/params/target_faces"),
    "huge": ({"target_faces": 10**9}, "/params/target_faces"),
    "seed 2^64": ({"seed": 2**64}, "/params/seed"),
    "fraction": ({"target_faces": 1000.5}, "/params/target_faces"),
    "enum": ({"preset": "ultra"}, "/params/preset"),
}


@pytest.mark.parametrize("row", WRONG_PARAMS)
@pytest.mark.parametrize("how", ["json", "form"])
def test_row_27_wrong_parameters_are_pointed_at(server, small_png, row, how):
    params, pointer = WRONG_PARAMS[row]
    if how == "json":
        body = {"pipeline": "image_to_3d", "image": data_uri(small_png), "params": params}
        answer = server.client.post("/api/v1/jobs", json=body)
    else:
        answer = server.post(small_png, params=json.dumps(params))
    assert (answer.status_code, answer.json["code"]) == (422, "invalid-parameter")
    assert answer.json["errors"][0]["pointer"] == pointer
    assert server.count() == 0


def test_row_27_every_wrong_field_has_its_pointer(server, small_png):
    answer = server.post(small_png, params=json.dumps({"a": 1, "preset": "x", "seed": -1}))
    pointers = {error["pointer"] for error in answer.json["errors"]}
    assert pointers == {"/params/a", "/params/preset", "/params/seed"}


WRONG_BODIES = {
    "pipeline": {"pipeline": "nothing"},
    "pipeline type": {"pipeline": ["image_to_3d"]},
    "params type": {"params": [1]},
    "image type": {"image": 5},
    "image not base64": {"image": "data:image/png;base64,???"},
    "image plain": {"image": "iVBORw0KGgo="},
    "priority": {"priority": "urgent"},
    "priority type": {"priority": 3},
    "name type": {"name": {"a": 1}},
    "unknown": {"model_path": "/etc/passwd"},
}


@pytest.mark.parametrize("row", WRONG_BODIES)
def test_row_27_wrong_bodies(server, small_png, row):
    body = {"pipeline": "image_to_3d", "image": data_uri(small_png)} | WRONG_BODIES[row]
    answer = server.client.post("/api/v1/jobs", json=body)
    assert (answer.status_code, answer.json["code"]) == (422, "invalid-parameter"), answer.text
    assert answer.json["errors"]


def test_row_16_a_data_uri_over_the_limit(make_server):
    server = make_server(max_upload_mb=1)
    body = {"pipeline": "image_to_3d", "image": "data:image/png;base64," + "A" * (2 << 20)}
    assert server.client.post("/api/v1/jobs", json=body).status_code == 413


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1/x.png", "http://[::1]/", "http://0.0.0.0/", "http://169.254.169.254/latest",
     "http://10.0.0.1/", "http://2130706433/", "http://0x7f.1/", "http://user@127.0.0.1/",
     "http://[::ffff:127.0.0.1]/", "file:///etc/passwd", "gopher://x/", "https://example.org/a.png"],
)  # fmt: skip
@pytest.mark.parametrize("field", ["image_url", "image"])
def test_row_28_no_address_is_fetched(server, monkeypatch, url, field):
    def refuse(*_: object) -> None:
        raise AssertionError("a connection was made")

    monkeypatch.setattr("socket.create_connection", refuse)
    answer = server.client.post("/api/v1/jobs", json={"pipeline": "image_to_3d", field: url})
    assert (answer.status_code, answer.json["code"]) == (422, "url-not-allowed")


@pytest.mark.parametrize(
    "job_id", ["x", "..%2fx", "0" * 26, "%00", "A" * 26, "0" * 5000, "é" * 26, "..", "%2e%2e"]
)
@pytest.mark.parametrize("tail", ["", "/events", "/files/model.glb"])
def test_row_32_unknown_ids_look_all_the_same(server, job_id, tail):
    answer = server.client.get(f"/api/v1/jobs/{job_id}{tail}")
    assert (answer.status_code, answer.json["code"]) == (404, "not-found")
    assert job_id not in answer.json["detail"] or len(job_id) < 3


def test_row_34_a_foreign_origin_may_not_post(server, small_png):
    server.client.set_cookie("mk_csrf", "t" * 32)
    for origin in ("https://evil.example", "null", "http://localhost:3000", "http://[", "file://"):
        answer = server.post(small_png, headers={"Origin": origin})
        assert (answer.status_code, answer.json["code"]) == (403, "forbidden-origin"), origin
    assert server.count() == 0


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_row_34_nor_a_foreign_site_without_an_origin(server, small_png, site):
    answer = server.post(small_png, headers={"Sec-Fetch-Site": site})
    assert (answer.status_code, answer.json["code"]) == (403, "forbidden-origin")


@pytest.mark.parametrize(
    ("headers", "fields", "status"),
    [
        ({}, {}, 403),
        ({"X-CSRF-Token": "wrong"}, {}, 403),
        ({}, {"csrf_token": "wrong"}, 403),
        ({"X-CSRF-Token": "t" * 32}, {}, 202),
        ({}, {"csrf_token": "t" * 32}, 202),
    ],
)
def test_row_34_our_own_page_needs_the_token(server, small_png, headers, fields, status):
    server.client.set_cookie("mk_csrf", "t" * 32)
    own = {"Origin": "http://localhost", **headers}
    answer = server.post(small_png, headers=own, **fields)
    assert answer.status_code == status
    if status == 403:
        assert answer.json["code"] == "csrf-failed"


def test_a_script_without_cookie_and_origin_needs_no_token(server, small_png):
    assert server.post(small_png).status_code == 202


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "[::2]", "192.168.1.5",
     "[", "localhost:99999999@evil", "x" * 300],
)  # fmt: skip
def test_row_36_other_host_names(server, host):
    answer = server.client.get("/healthz", headers={"Host": host})
    assert (answer.status_code, answer.json["code"]) == (421, "host-not-allowed")


@pytest.mark.parametrize("host", ["localhost", "localhost:7860", "127.0.0.1:1", "[::1]:7860"])
def test_row_36_our_own_names(server, host):
    assert server.client.get("/healthz", headers={"Host": host}).status_code == 200


def test_row_36_allowed_names_and_their_origins(make_server, small_png):
    server = make_server(allowed_hosts=("kiln.example",), host="0.0.0.0")
    assert server.client.get("/healthz", headers={"Host": "kiln.example"}).status_code == 200
    assert server.client.get("/healthz", headers={"Host": "192.168.1.5:7860"}).status_code == 200
    assert server.client.get("/healthz", headers={"Host": "evil.example"}).status_code == 421
    _, key = server.service.access.keys.create("ann")
    headers = {"Host": "kiln.example", "Origin": "https://kiln.example"}
    headers["Authorization"] = f"Bearer {key}"
    assert server.post(small_png, headers=headers).status_code == 202


def test_row_38_a_full_queue(make_server, small_png):
    server = make_server(max_queued_jobs=2)
    for _ in range(2):
        server.submit(small_png)
    answer = server.post(small_png)
    assert (answer.status_code, answer.json["code"]) == (503, "queue-full")
    assert int(answer.headers["Retry-After"]) == answer.json["retry_after"] > 0
    assert server.count() == 2
    assert len(list(server.service.artefacts.job_ids())) == 2


def test_row_43_a_full_disk(server, small_png, monkeypatch):
    def full() -> None:
        raise StorageFull("Only 3 MB are free.", retry_after_s=600)

    monkeypatch.setattr(server.service.artefacts, "check_space", full)
    answer = server.post(small_png)
    assert (answer.status_code, answer.json["code"]) == (507, "storage-full")
    assert server.count() == 0
    assert list(server.service.artefacts.root.rglob("*.png")) == []


def test_row_45_line_breaks_cannot_forge_a_log_line(server, small_png, caplog):
    caplog.set_level(logging.INFO)
    server.client.get("/x%0d%0aforged", headers={"User-Agent": "a"})
    server.post(small_png, filename="a\r\nforged.png")
    formatter = JsonFormatter()
    lines = [formatter.format(record) for record in caplog.records]
    assert any("forged" in line for line in lines)
    for line in lines:
        assert "\n" not in line
        assert "\r" not in line
        assert json.loads(line)["ts"].endswith("Z")


def test_unexpected_errors_tell_nothing(server, monkeypatch, caplog):
    def fail() -> None:
        raise RuntimeError("/secret/path")

    monkeypatch.setattr(server.service.store, "counts", fail)
    answer = server.client.get("/api/gpu/status")
    assert (answer.status_code, answer.json["code"]) == (500, "internal-error")
    assert "secret" not in answer.text
    assert "/secret/path" in caplog.text


def test_wrong_method_names_the_right_ones(server):
    answer = server.client.put("/api/v1/jobs")
    assert (answer.status_code, answer.json["code"]) == (405, "method-not-allowed")
    assert "POST" in answer.headers["Allow"]


def test_every_answer_carries_the_security_headers(server):
    for path in ("/healthz", "/nope", "/openapi.json"):
        headers = server.client.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert "'unsafe-eval'" not in headers["Content-Security-Policy"]
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["Referrer-Policy"] == "same-origin"
        assert "Access-Control-Allow-Origin" not in headers


def test_problems_are_html_for_browsers_and_htmx(server):
    page = server.client.get("/nope", headers={"Accept": "text/html"})
    fragment = server.client.get("/api/v1/jobs/x", headers={"HX-Request": "true"})
    assert page.mimetype == fragment.mimetype == "text/html"
    assert (page.status_code, fragment.status_code) == (404, 404)
    assert "Not found" in page.text


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=b"])
def test_a_body_in_wrong_chunks_is_the_fault_of_the_client(server, caplog, kind):
    class Body(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, _buffer: object) -> int:
            raise InvalidChunkSize(b"ZZ")

    with Body() as body:
        environ = {"wsgi.input": body, "wsgi.input_terminated": True, "CONTENT_TYPE": kind}
        answer = server.client.post("/api/v1/jobs", environ_overrides=environ)
    assert (answer.status_code, answer.json["code"]) == (400, "malformed-request")
    assert answer.headers["Connection"] == "close"
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
