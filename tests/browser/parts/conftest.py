"""A server with finished jobs in parts, and one browser for all tests of their explorer."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from werkzeug.serving import make_server

from tests.browser.conftest import is_expected
from tests.browser.parts.explorer_page import FILES, VIEW
from tests.web.conftest import Server, serving
from tests.web.test_parts_api import finish


@dataclass
class PartsServer:
    """The app in a thread of this process; each test takes a job of its own."""

    url: str
    server: Server

    def job(self, facts: dict[str, Any] | None = None) -> str:
        new = self.server.service.prepare("segment_parts", {}, "row.glb")
        self.server.service.submit(new, {"mesh.glb": b""})
        return finish(self.server, FILES, facts)


@dataclass
class Tabs:
    """One browser for all tests, which thus load the scripts once, and what it complained of."""

    context: BrowserContext
    complaints: list[str]
    first: Page | None = None

    def new(self):
        page = self.context.new_page()
        page.on("console", self._listen)
        page.on("pageerror", lambda error: self.complaints.append(f"page error: {error}"))
        page.on("dialog", lambda dialog: dialog.accept())  # edits that a test has not saved
        return page

    def _listen(self, message):
        is_tolerated = is_expected(message.text) or "412 (PRECONDITION" in message.text
        if message.type in ("error", "warning") and not is_tolerated:
            self.complaints.append(f"{message.type}: {message.text}")


@pytest.fixture(scope="package")
def parts_server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("parts")) as server:
        listener = make_server("127.0.0.1", 0, server.app, threaded=True)
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        yield PartsServer(f"http://127.0.0.1:{listener.port}", server)
        listener.shutdown()


@pytest.fixture(scope="package")
def tabs(chromium, parts_server):
    context = chromium.new_context(base_url=parts_server.url, viewport=VIEW)
    context.set_default_timeout(30_000)
    yield Tabs(context, [])
    context.close()


@pytest.fixture
def explore(parts_server, tabs):
    """Open the page of a new job and wait until its parts are drawn."""
    opened = []

    def open_page(job=None):
        if opened or tabs.first is None:
            opened.append(tabs.new())
        else:
            opened.append(tabs.first)
        tabs.first = tabs.first or opened[0]
        page = opened[-1]
        page.goto(f"/jobs/{job or parts_server.job()}")
        expect(page.locator("part-explorer")).to_have_attribute("data-ready", "true")
        page.mouse.move(1, 1)
        return page

    yield open_page
    for page in opened:
        if page is not tabs.first:
            page.close()
    assert tabs.complaints == []
