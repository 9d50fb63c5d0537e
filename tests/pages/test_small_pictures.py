from __future__ import annotations

import io

import pytest
from PIL import Image

from backend.web.pages.small_pictures import shrunk
from tests.pages.test_pages import html
from tests.web.conftest import encoded


def opened(data):
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


@pytest.fixture
def sent(client):
    """Send one picture as a batch; returns the page of the batch."""

    def send(image):
        files = [(io.BytesIO(encoded(image, "PNG")), "a.png")]
        script = client.application.test_client(use_cookies=False)
        answer = script.post("/api/v1/batches", data={"file": files, "preset": "draft"})
        assert answer.status_code == 202, answer.text
        return answer.json["links"]["page"]

    return send


def wide_picture():
    image = Image.linear_gradient("L").resize((1200, 600)).convert("RGBA")
    image.paste((255, 0, 0, 0), (0, 0, 600, 600))
    return image


def test_a_waiting_item_shows_the_picture_that_was_sent(client, service, sent):
    page = sent(wide_picture())
    (job,) = service.store.list().items
    address = f"/jobs/{job.id}/picture/small"
    assert f'<img src="{address}"' in html(client.get(page))
    answer = client.get(address)
    small = opened(answer.data)
    assert (answer.mimetype, small.format, small.size) == ("image/webp", "WEBP", (256, 128))
    assert small.getpixel((10, 60))[3] == 0, "what was transparent stays so"
    assert "private" in answer.headers["Cache-Control"]
    again = client.get(address, headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_the_result_takes_its_place_and_removed_pictures_are_gone(client, service, sent):
    page = sent(wide_picture())
    (job,) = service.store.list().items
    service.artefacts.remove_inputs(job.id)
    assert client.get(f"/jobs/{job.id}/picture/small").status_code == 410
    service.delete(job.id)
    assert "/picture/small" not in html(client.get(page))
    assert client.get(f"/jobs/{job.id}/picture/small").status_code == 404


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_small_pictures_are_not_made_larger(kind):
    image = Image.linear_gradient("L").resize((64, 48)).convert("RGB")
    assert opened(shrunk(encoded(image, kind))).size == (64, 48)
