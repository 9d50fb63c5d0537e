"""What the page of a job says of a shape that a network made, and of why one could not."""

from __future__ import annotations

import pytest

from backend.web.pages.fragments import render_job_live

SHAPE = {
    "mode": None, "notice": "", "model": "hunyuan3d-2mv", "revision": "abcdef0123456789",
    "steps": 30, "guidance": 5.0, "cells": 256, "decoder": "flash", "views": ["front", "left"],
    "precision": "float16", "licence": "tencent-hunyuan3d-2.0",
}  # fmt: skip


@pytest.fixture
def page_of(service, make_job, client):
    """Render the live part of a job with these facts or this error."""
    from backend.jobs.records import job_document

    def render(error=None, **facts):
        document = job_document(make_job(preset="high"))
        document["facts"] = facts
        document["error"] = error
        with client.application.test_request_context("/"):
            return render_job_live(document, "token")

    return render


def mesh():
    return {
        "vertices": 4, "faces": 4, "bodies": 1, "closed": True, "extents_m": [1, 1, 1],
        "outline_iou": 0.5,
    }  # fmt: skip


def test_the_facts_of_a_network_are_told_in_words(page_of):
    text = page_of(mesh=mesh(), shape=SHAPE)
    for words in (
        "hunyuan3d-2mv", "abcdef0123", "30 from noise to shape", "256 cells a side",
        "flash decoder", "front, left", "16-bit numbers (float16)",
        "Tencent Hunyuan 3D 2.0 Community License", "high: the best model", "Overlap with",
    ):  # fmt: skip
        assert words in text
    assert "None" not in text


def test_a_shape_of_the_built_in_engine_is_told_as_before(page_of):
    text = page_of(mesh=mesh(), shape={"mode": "inflate", "notice": ""})
    assert "(inflate)" in text
    assert "Outline kept" in text
    assert "from noise" not in text


@pytest.mark.parametrize(
    ("code", "linked"),
    [
        ("licence-not-accepted", True),
        ("weights-missing", True),
        ("engine-unavailable", True),
        ("no-foreground", False),
    ],
)
def test_errors_about_models_lead_to_the_models(page_of, code, linked):
    error = {"code": code, "title": "T", "detail": "D", "advice": "Do it."}
    assert ('href="/models"' in page_of(error=error)) is linked
