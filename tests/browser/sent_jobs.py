"""Jobs for tests whose page only looks at what a job has made."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import requests


def send(server: Any, picture: Path, **fields: str) -> dict[str, Any]:
    """Send a picture, for a draft if no field says otherwise; returns the job."""
    form = {"pipeline": "image_to_3d", "preset": "draft", **fields}
    with picture.open("rb") as file:
        files = {"file": file}
        sent = requests.post(f"{server.url}/api/v1/jobs", files=files, data=form, timeout=30)
    sent.raise_for_status()
    job: dict[str, Any] = sent.json()
    return job


def ended(server: Any, job: dict[str, Any]) -> dict[str, Any]:
    """Wait for the end of a job."""
    deadline_s = time.monotonic() + 90
    while time.monotonic() < deadline_s:
        found: dict[str, Any] = requests.get(server.url + job["links"]["self"], timeout=10).json()
        if found["finished_at"]:
            return found
        time.sleep(0.1)
    raise AssertionError("the job has not ended")


def made(server: Any, picture: Path, **fields: str) -> str:
    """Make a model; returns the address of its page."""
    job = ended(server, send(server, picture, **fields))
    assert job["status"] == "succeeded", f"{job['error']}\n{server.told()}"
    page: str = job["links"]["page"]
    return page
