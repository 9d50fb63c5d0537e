"""Reads uploaded meshes within the test's own process: a child takes most of a second."""

from __future__ import annotations

import json
import os
from typing import IO, Any

import pytest
from flask.testing import FlaskClient
from werkzeug.datastructures import FileStorage
from werkzeug.test import encode_multipart

from backend.meshes.reading.__main__ import answer_for
from backend.settings import Settings
from backend.web import mesh_child
from tests.web.conftest import Server


def post_form(
    server: Server, fields: dict[str, Any], headers: Any = None, path: str = "/api/v1/jobs"
):
    """Send a form from memory; the client of the tests would leave a file open."""
    return _send(server.client, fields, headers, path)


def post_page(server: Server, fields: dict[str, Any], path: str = "/submit-mesh"):
    """Send a form as a browser without JavaScript does, with its token."""
    browser = server.app.test_client()
    browser.get("/")
    token = browser.get_cookie("mk_csrf").value
    return _send(browser, {"csrf_token": token, **fields}, {"Accept": "text/html"}, path)


def _send(client: FlaskClient, fields: dict[str, Any], headers: Any, path: str):
    values = {
        name: FileStorage(*value) if isinstance(value, tuple) else value
        for name, value in fields.items()
    }
    boundary, body = encode_multipart(values)
    kind = f"multipart/form-data; boundary={boundary}"
    return client.post(path, data=body, content_type=kind, headers=headers)


def _read_here(
    source: IO[bytes],
    target: IO[bytes] | None,
    settings: Settings,
    face_ids: IO[bytes] | None,
) -> tuple[bytes, int, bytes]:
    os.lseek(source.fileno(), 0, os.SEEK_SET)
    with os.fdopen(os.dup(source.fileno()), "rb") as file:
        data = file.read()
    output = None if target is None else target.fileno()
    if face_ids is not None:
        os.lseek(face_ids.fileno(), 0, os.SEEK_SET)
    numbers = None if face_ids is None else face_ids.fileno()
    answer = answer_for(data, settings.max_mesh_faces, output, numbers)
    return json.dumps(answer).encode(), 0 if "facts" in answer else 1, b""


@pytest.fixture
def without_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer as the child does, by the same function, without starting it."""
    monkeypatch.setattr(mesh_child, "_run", _read_here)
