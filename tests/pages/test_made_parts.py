"""What the page of a job shows of parts that a network made anew."""

from __future__ import annotations

from backend.jobs.records import job_document
from backend.web.pages.fragments import render_job_live

MADE = {
    "engine": "xpart", "closed": 2, "methods": {"cap": 1, "generated": 2}, "notices": {},
    "model": "x-part", "revision": None, "steps": 25, "solver": "midpoint", "cells": 192,
    "is_published_way": False, "groups": 1, "precision": "float32",
    "licence": "tencent-hunyuan3d-part",
}  # fmt: skip
CAPPED = {"engine": "cap_parts", "closed": 2, "methods": {"cap": 2}, "notices": {}}


def page_of(client, make_job, completion):
    document = job_document(make_job())
    found = {"count": 3, "suggested": 3, "fewest": 3, "most": 3, "engine": "given"}
    document["facts"] = {"parts": found, "completion": completion}
    document["outputs"] = [
        {"name": f"{role}.glb", "role": role, "url": f"/files/{role}.glb", "sha256": "0" * 64,
         "bytes": 1, "format": "glb"}
        for role in ("parts", "exploded")
    ]  # fmt: skip
    with client.application.test_request_context("/"):
        return render_job_live(document, "token")


def test_parts_that_were_made_anew_can_be_looked_at_together_and_apart(client, make_job):
    text = page_of(client, make_job, MADE)
    assert 'data-made="/files/parts.glb?inline=1&amp;v=00000000"' in text
    assert 'data-apart="/files/exploded.glb?inline=1&amp;v=00000000"' in text
    for words in (
        "x-part", "25 midpoint, read off on 192 cells", "the published way takes 50",
        "2 of 3: 1 by caps, 2 made anew by the network",
    ):  # fmt: skip
        assert words in text
    assert "None" not in text


def test_the_published_way_is_not_called_another_one(client, make_job):
    text = page_of(client, make_job, MADE | {"steps": 50, "is_published_way": True})
    assert "published way" not in text


def test_pieces_of_the_given_surface_are_shown_by_the_explorer_alone(client, make_job):
    text = page_of(client, make_job, CAPPED)
    assert "data-made" not in text
    assert "read off on" not in text
