"""Batches as clients send them."""

from __future__ import annotations

import base64
import io
import json
import zipfile

from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.test import encode_multipart

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


def lines(*items):
    return "\n".join(json.dumps(item) for item in items)
