"""A real Chromium against a real server."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

from bench.running_server import running_server
from tests.conftest import draw_figure, png_bytes

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    # pages are put together without the software renderer, which takes several times as long for
    # everything that moves; WebGL is still drawn by it
    "--disable-gpu-compositing",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
# the software renderer of a machine without a GPU is slow to draw its first frame
expect.set_options(timeout=40_000)
# Whoever leaves a page at once leaves its socket too; there is nothing to do better.
LEFT_WHILE_OPENING = "WebSocket is closed before the connection is established."
TOLERATED = (
    "rAF timed out",
    "GPU stall due to ReadPixels",
    "GL Driver Message",
    "RGBELoader has been deprecated",  # the viewer's own loader of its light, not ours
)


def is_expected(told: str) -> bool:
    """Whether a console says what a software renderer makes browser and viewer say."""
    return any(words in told for words in TOLERATED)


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def chromium():
    if not Path(CHROMIUM).exists():
        if os.environ.get("CI"):
            pytest.fail("Chromium is missing, and CI must run the browser tests")
        pytest.skip("Chromium is not installed (Debian: apt install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def server():
    with running_server() as running:
        yield running


@pytest.fixture(scope="session")
def slow_server():
    """A server whose stages take at least a second each, so that a test can step in."""
    with running_server(
        MESHKILN_PIPELINE_RUNNER="tests.jobs.scripted_runner:run_slowly",
        MESHKILN_LEASE_S="5",
        MESHKILN_RECONCILE_S="1",
    ) as running:
        yield running


@pytest.fixture
def new_page(chromium):
    """Make pages; at the end nothing may have gone wrong in any of their consoles.

    With ``draws=False`` the model on the page of a job is not drawn, which without a GPU takes more
    than all the rest.
    """
    contexts, complaints = [], []

    def make(server, *, expect_errors=False, draws=True, **options):
        options.setdefault("viewport", {"width": 1280, "height": 900})
        context = chromium.new_context(base_url=server.url, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        if not draws:
            page.route(
                "**/model-viewer-module.min.js",
                lambda route: route.fulfill(content_type="text/javascript", body=""),
            )

        def listen(message):
            told = message.text
            is_tolerated = is_expected(told) or told.endswith(LEFT_WHILE_OPENING)
            if message.type in ("error", "warning") and not is_tolerated:
                complaints.append(f"{message.type}: {told}")

        if not expect_errors:
            page.on("console", listen)
            page.on("pageerror", lambda error: complaints.append(f"page error: {error}"))
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith((server.url, "blob:", "data:"))
                else complaints.append(f"outside request: {request.url}")
            ),
        )
        return page

    yield make
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture(scope="session")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "doll.png"
    path.write_bytes(png_bytes(draw_figure(512, transparent=False)))
    return path
