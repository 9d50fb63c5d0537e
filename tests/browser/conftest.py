"""A real Chromium against a real server."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright
from xdist.scheduler import LoadFileScheduling

from bench.running_server import running_server
from tests.conftest import draw_figure, png_bytes
from tests.engines.speech_files import write_models

REPO = Path(__file__).parents[2]
SPEECH = Path(__file__).parent / "small_speech"
WRITE = (
    "import sys; from pathlib import Path;"
    "from tests.models.checkpoints.tiny_checkpoints import write_tiny_repository;"
    "from tests.models.checkpoints.tiny_part_checkpoints import write_tiny_xpart;"
    "from tests.models.tiny_paint_checkpoints import write_tiny_paint;"
    "root = Path(sys.argv[1]);"
    "write_tiny_repository(root); write_tiny_xpart(root); write_tiny_paint(root)"
)
CHROMIUM = next(filter(None, map(shutil.which, ("chromium-headless-shell", "chromium"))), "")
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
WIDE = {"width": 1280, "height": 900}
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


NETWORKS = ("models", "texture", "part_boxes", "speech", "gpu_page")
SLOW = ("job_page", "generate_page", "batch_page")
# Files whose tests share a server, which thus run in one process; they take longest and come first.
TOGETHER = [{f"test_{name}.py" for name in names} for names in (NETWORKS, SLOW)]


def place(path):
    """Which of them a file belongs to, or behind them all."""
    name = Path(path).name
    return next((at for at, files in enumerate(TOGETHER) if name in files), len(TOGETHER))


class ByServer(LoadFileScheduling):
    """Shares tests out by their files, and those of a server together."""

    def _split_scope(self, nodeid):
        path = super()._split_scope(nodeid)
        return str(place(path)) if place(path) < len(TOGETHER) else path


def pytest_xdist_make_scheduler(config, log):
    return ByServer(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_modifyitems(items):
    ours = [item for item in items if Path(__file__).parent in item.path.parents]
    for item in ours:
        item.add_marker(pytest.mark.browser)
    if len(ours) == len(items):
        items.sort(key=lambda item: place(item.path))


@pytest.fixture(scope="session")
def chromium():
    if not CHROMIUM:
        if os.environ.get("CI"):
            pytest.fail("Chromium is missing, and CI must run the browser tests")
        pytest.skip("Chromium is not installed (Debian: apt install chromium-headless-shell)")
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


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """Tiny random weights of all networks."""
    folder = tmp_path_factory.mktemp("weights")
    # in a process of its own: torch stays out of the tests of the browser
    subprocess.run([sys.executable, "-c", WRITE, str(folder)], cwd=REPO, check=True)
    return folder


@pytest.fixture(scope="session")
def networks(weights, tmp_path_factory):
    """A server with networks that have learned nothing, so that what they make is noise."""
    with running_server(
        MESHKILN_MODEL_PATH=str(weights),
        MESHKILN_MODEL_CATALOGUE="tests.residency.tiny_catalogue:register",
        MESHKILN_SPEECH_PATH=str(SPEECH),
        MESHKILN_SPEECH_PYTHON=sys.executable,
        MESHKILN_SPEECH_MODELS=str(write_models(tmp_path_factory.mktemp("speech"))),
        OMP_NUM_THREADS="1",
    ) as running:
        yield running


@pytest.fixture
def new_page(chromium):
    """Make pages; at the end nothing may have gone wrong in any of their consoles.

    What pulses while a job runs stands still if a test says nothing else: without a GPU it takes as
    much as the job to draw it. With ``draws=False`` the model on the page of a job is not drawn,
    which takes more than all the rest.
    """
    contexts, complaints = [], []

    def make(server, *, expect_errors=False, draws=True, **options):
        options = {"viewport": WIDE, "reduced_motion": "reduce"} | options
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
