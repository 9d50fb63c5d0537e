"""What the page of a job says of the network that found its parts."""

from __future__ import annotations

import re

from flask import render_template

FOUND = {
    "model": "p3-sam",
    "revision": None,
    "points": 20_000,
    "prompts": 128,
    "threshold": 0.9,
    "post_process": True,
    "masks_kept": 0,
    "precision": "float32",
    "licence": "tencent-hunyuan3d-part",
}


def said(client, **changed):
    """Return the text, without markup."""
    with client.application.test_request_context():
        page = render_template("fragments/part_model_facts.html", found={**FOUND, **changed})
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def test_what_was_looked_at_and_with_what_is_told(client):
    text = said(client)
    assert "20 000 points of the surface, 128 of them asked for their part" in text
    assert "joined beyond 90 % of the area" in text
    assert "Masks kept 0" in text
    assert "32-bit numbers" in text
    assert "3D-Part Community License" in text
    assert "revision" not in text
    assert "revision 0123456789 " in said(client, revision="0123456789abcdef")


def test_what_was_not_done_or_is_not_known_is_not_told(client):
    assert "left as they are" in said(client, post_process=False)
    text = said(client, points=None, masks_kept=None, post_process=None, precision=None)
    for words in ("Looked at", "Masks", "Small parts", "Computed with", "None"):
        assert words not in text
