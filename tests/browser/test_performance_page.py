"""The performance page in a browser: with scripted runs, and with the runs of a real worker."""

from __future__ import annotations

import copy
import threading
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import expect
from werkzeug.serving import make_server

from backend.jobs.service import JobService
from backend.settings import Settings
from backend.web.app import create_app
from backend.web.pages import performance as page_module
from tests.browser.sent_jobs import made
from tests.browser.test_appearance import violations, violations_by_scheme
from tests.pages.test_performance_page import EMPTY, OFFLINE, READY, document, run, two_versions

DOCUMENTS = {"ready": READY, "empty": EMPTY, "offline": OFFLINE}
COMPARED = "/performance?before=1.0&after=1.1"
MAX_BYTES = 150_000


@dataclass
class ScriptedServer:
    """A web process whose history holds what a test wants."""

    url: str
    document: dict[str, Any]


@pytest.fixture
def scripted(tmp_path, monkeypatch):
    service = JobService(Settings.from_env({}, data_dir=tmp_path, disk_floor_mb=1))
    web = make_server("127.0.0.1", 0, create_app(service.settings, service), threaded=True)
    made = ScriptedServer(f"http://127.0.0.1:{web.port}", copy.deepcopy(READY))
    monkeypatch.setattr(
        page_module, "performance_document", lambda service, wanted=None: made.document
    )
    thread = threading.Thread(target=web.serve_forever, args=[0.02], daemon=True)
    thread.start()
    yield made
    web.shutdown()
    thread.join()
    web.server_close()
    service.close()


@pytest.mark.parametrize("situation", list(DOCUMENTS))
def test_page_has_no_accessibility_violations(scripted, new_page, situation):
    scripted.document = copy.deepcopy(DOCUMENTS[situation])
    page = new_page(scripted)
    page.goto("/performance")
    expect(page.locator("#perf-situation")).to_have_attribute("data-situation", situation)
    assert violations_by_scheme(page) == {}


def test_comparison_has_no_accessibility_violations(scripted, new_page):
    scripted.document = document(two_versions())
    page = new_page(scripted)
    page.goto(COMPARED)
    expect(page.locator("#comparison-result")).to_contain_text("Faster")
    assert violations_by_scheme(page) == {}


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_page_does_not_scroll_sideways(scripted, new_page, width):
    scripted.document = document(two_versions())
    page = new_page(scripted, viewport={"width": width, "height": 740})
    page.goto(COMPARED)
    expect(page.locator("#perf-stages")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [360, 1280])
def test_waterfall_is_drawn_to_scale_with_letters_of_full_size(scripted, new_page, width):
    page = new_page(scripted, viewport={"width": width, "height": 740})
    page.goto("/performance")
    widths = page.evaluate(
        "[...document.querySelectorAll('.perf-row rect')].map(r => r.getBoundingClientRect().width)"
    )
    wait, cut_out, shape, decode, export = widths
    assert shape / cut_out == pytest.approx(6, rel=0.05)
    assert decode / shape == pytest.approx(4 / 6, rel=0.05)
    assert export / wait == pytest.approx(3 / 2, rel=0.1)  # the dashes have a width of their own
    letters = page.locator(".perf-label").first.evaluate(
        "e => parseFloat(getComputedStyle(e).fontSize)"
    )
    assert letters >= 12


def test_pictures_have_names_for_screen_readers(scripted, new_page):
    page = new_page(scripted)
    page.goto("/performance")
    expect(page.get_by_role("img", name="Stages of the last run in time")).to_be_visible()
    expect(page.get_by_role("img", name="Finished runs per hour")).to_be_visible()
    table = page.get_by_role("table", name="Stages of the last run")
    expect(table.get_by_role("rowheader", name="Field decode")).to_have_count(1)


def test_new_runs_arrive_without_overwriting_a_choice(scripted, new_page):
    scripted.document = document(two_versions())
    page = new_page(scripted)
    page.goto("/performance")
    page.select_option("#compare-before", "1.0")
    page.locator("#compare-before").focus()
    scripted.document = document([run(99), *two_versions()], workers=0)
    expect(page.locator('[data-run="run099"]')).to_be_visible()
    expect(page.locator("#perf-situation")).to_have_attribute("data-situation", "offline")
    expect(page.locator("#compare-before")).to_have_value("1.0")
    expect(page.locator("#compare-before")).to_be_focused()


def test_refresh_asks_at_once(scripted, new_page):
    page = new_page(scripted)
    page.goto("/performance")
    page.evaluate("window.sameDocument = true")
    scripted.document = document([run(99)])
    page.click("#perf-refresh")
    expect(page.locator('[data-run="run099"]')).to_be_visible(timeout=1500)
    assert page.evaluate("window.sameDocument") is True


def test_page_is_useful_without_javascript(scripted, new_page):
    scripted.document = document(two_versions())
    page = new_page(scripted, java_script_enabled=False)
    page.goto("/performance")
    expect(page.locator("#perf-verdict")).to_contain_text("60 % of a run is shape generation")
    expect(page.locator(".perf-waterfall")).to_be_visible()
    page.select_option("#compare-before", "1.0")
    page.select_option("#compare-after", "1.1")
    page.get_by_role("button", name="Compare").click()
    expect(page.locator("#comparison-result")).to_contain_text("Faster")


def test_page_is_light_in_all(scripted, new_page):
    page = new_page(scripted)
    loaded = []
    page.on("response", lambda answer: loaded.append(answer))
    page.goto("/performance", wait_until="networkidle")
    sizes = {a.url: a.request.sizes()["responseBodySize"] for a in loaded}  # on the wire
    assert any("htmx" in url for url in sizes)
    assert any("performance.css" in url for url in sizes)
    assert sum(sizes.values()) < MAX_BYTES, sizes


def test_run_of_a_real_job_is_shown(server, new_page, picture):
    path = made(server, picture, texture="false")
    page = new_page(server)
    page.goto("/performance")
    expect(page.locator(f'#perf-runs a[href="{path}"]')).to_be_visible()
    expect(page.locator(".perf-waterfall")).to_contain_text("Wait in the queue")
    expect(page.locator('#perf-stages [data-stage="shape_generation"]')).to_be_visible()
    assert violations(page) == []
