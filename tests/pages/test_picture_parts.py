"""The form for pictures asks how exactly parts are made."""

from __future__ import annotations

import io

import pytest

from backend.catalog import PartQuality
from backend.web.pages import generate


def form_of(client, address="/"):
    page = client.get(address).text
    return page[page.index('id="picture-parts"') : page.index('id="quality-title"')]


def test_each_quality_can_be_chosen_and_the_lossy_ones_say_so(client):
    form = form_of(client)
    assert '<label for="p-part_quality">' in form
    for quality in PartQuality:
        assert f'<option value="{quality.value}">' in form
    assert form.index('<option value="">from the preset') == form.index("<option")  # is taken
    assert form.count("lossy") >= 3


def test_without_the_network_there_is_nothing_to_choose(client, monkeypatch):
    reasons = {"segmentation": None, "completion": "no weights are here"}
    document = {"items": [], "looked_at": "now", "parts_unavailable": reasons}
    document |= {"texture_unavailable": None, "reason_unavailable": None}
    monkeypatch.setattr(generate, "models_document", lambda _service: document)
    assert 'id="picture-parts"' not in client.get("/").text


@pytest.mark.parametrize(
    ("pipeline", "kept"), [("image_to_parts", "second_order"), ("image_to_3d", None)]
)
def test_it_is_sent_with_parts_only(post, client, service, figure_png, pipeline, kept):
    file = {"file": (io.BytesIO(figure_png), "doll.png")}
    answer = post("/submit", pipeline=pipeline, part_quality="second_order", **file)
    assert answer.status_code == 303, answer.text
    job = service.store.list().items[0]
    assert job.params.get("part_quality") == kept
    if kept:
        again = form_of(client, f"/?from={job.id}")
        assert f'<option value="{kept}" selected>' in again
        assert '<option value="">from the preset</option>' in again
