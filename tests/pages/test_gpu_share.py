"""Other servers on the same GPU, as the page ``/gpu`` shows them."""

from __future__ import annotations

import pytest

from backend.web.pages import gpu as page_module
from tests.pages.test_gpu_page import GPU, HOSTILE, changed

NEIGHBOUR = {
    "name": "box:7861", "host": "box", "pid": 4711, "since": "2026-11-22T04:05:06.000Z",
    "grant_mb": 6144.0, "held_mb": 512.0, "idle_mb": 0.0, "expired": False,
}  # fmt: skip
WISH = {
    "name": "box:7861", "pid": 4711, "since": "2026-11-22T04:05:09.000Z", "wants_mb": 2048.0,
    "own": False,
}  # fmt: skip
SHARE = {
    "state": "online", "name": "box:7860", "grant_mb": 8192.0, "neighbours": [NEIGHBOUR],
    "wishes": [WISH],
}  # fmt: skip


@pytest.fixture
def page(client, monkeypatch):
    def show(**share):
        document = changed(GPU)
        document["residency"]["share"] = SHARE | share
        monkeypatch.setattr(page_module, "gpu_status", lambda service: document)
        return client.get("/gpu/live").text

    return show


def test_neighbours_and_who_waits_are_shown(page):
    text = page()
    row = text[text.index("box:7861") :].partition("</tr>")[0]
    assert "process 4711" in row
    assert [part in row for part in ("512 MB", "6.0 GB", "04:05:06")] == [True] * 3
    assert "8.0 GB may be held here" in text
    assert "box:7861 waits for 2.0 GB" in text


def test_what_is_not_heard_is_not_called_empty(page):
    text = page(state="offline", grant_mb=None, neighbours=[], wishes=[])
    assert "cannot be heard" in text
    assert "No other server" not in text
    assert "No other server uses this GPU" in page(neighbours=[], wishes=[])


@pytest.mark.parametrize("state", ["off", "unused"])
def test_who_shares_nothing_sees_nothing_of_it(page, state):
    assert "share-title" not in page(state=state)


def test_a_neighbour_cannot_write_into_the_page(page):
    text = page(neighbours=[NEIGHBOUR | {"name": HOSTILE}], wishes=[WISH | {"name": HOSTILE}])
    assert HOSTILE not in text
