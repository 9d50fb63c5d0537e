"""The GPU page in a browser: with a scripted status for a card, and with a real worker."""

from __future__ import annotations

import copy
import threading
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import expect
from werkzeug.serving import make_server

from backend.errors import ModelLeased
from backend.jobs.service import JobService
from backend.settings import Settings
from backend.web.api import gpu as status_module
from backend.web.app import create_app
from backend.web.pages import gpu as page_module
from tests.browser.test_appearance import violations_by_scheme
from tests.pages.test_gpu_page import CPU, GPU, OFFLINE, RESTORE, model
from tests.web.conftest import wait_for

DOCUMENTS = {"gpu": GPU, "cpu": CPU, "offline": OFFLINE}


@dataclass
class ScriptedServer:
    """A web process whose worker says and does what a test wants."""

    url: str
    document: dict[str, Any]
    commands: list[tuple[str, dict[str, Any]]]
    answer: str | Exception = "done"


@pytest.fixture
def scripted(tmp_path, monkeypatch):
    service = JobService(Settings.from_env({}, data_dir=tmp_path, disk_floor_mb=1))
    web = make_server("127.0.0.1", 0, create_app(service.settings, service), threaded=True)
    made = ScriptedServer(f"http://127.0.0.1:{web.port}", copy.deepcopy(GPU), [])

    def carry_out(service, kind, arguments):
        made.commands.append((kind.value, dict(arguments)))
        if isinstance(made.answer, Exception):
            raise made.answer
        return {"status": made.answer, "models": {}}

    monkeypatch.setattr(page_module, "gpu_status", lambda service: made.document)
    monkeypatch.setattr(status_module, "gpu_status", lambda service: made.document)
    monkeypatch.setattr(page_module, "command_workers", carry_out)
    thread = threading.Thread(target=web.serve_forever, args=[0.02], daemon=True)
    thread.start()
    yield made
    web.shutdown()
    thread.join()
    web.server_close()
    service.close()


def change(scripted, **more):
    """Put a new document in one step: the web threads read it meanwhile."""
    scripted.document = copy.deepcopy(scripted.document) | more


@pytest.mark.parametrize("situation", list(DOCUMENTS))
def test_page_has_no_accessibility_violations(scripted, new_page, situation):
    scripted.document = copy.deepcopy(DOCUMENTS[situation])
    page = new_page(scripted)
    page.goto("/gpu")
    expect(page.locator("#gpu-situation")).to_have_attribute("data-situation", situation)
    assert violations_by_scheme(page) == {}


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_page_does_not_scroll_sideways(scripted, new_page, width):
    page = new_page(scripted, viewport={"width": width, "height": 740})
    page.goto("/gpu")
    expect(page.locator("#preload-4")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator(".gpu-buttons button").first.bounding_box()["height"] >= 24


def test_bar_is_drawn_to_scale(scripted, new_page):
    page = new_page(scripted)
    page.goto("/gpu")
    widths = page.evaluate(
        "[...document.querySelectorAll('.vram-part')].map(p => p.getBoundingClientRect().width)"
    )
    assert widths[0] / widths[1] == pytest.approx(3000 / 2000, rel=0.02)
    assert widths[0] / sum(widths) == pytest.approx(3000 / 24000, rel=0.03)


def test_changes_arrive_without_losing_focus_or_typing(scripted, new_page):
    page = new_page(scripted)
    page.goto("/gpu")
    page.locator("#rule-idle_offload_s").fill("77")
    page.locator("#release-2").focus()
    moves = [{"at": "2026-11-21T08:00:00Z", "model": "paint", "from": "resident",
              "to": "draining", "reason": "asked to release", "elapsed_s": 9.0}]  # fmt: skip
    change(
        scripted,
        models=[GPU["models"][0], model("paint", "draining", vram_mb=2000.0, leases=1)],
        residency=GPU["residency"] | {"transitions": moves, "idle_offload_s": 45.0},
    )
    expect(page.locator(".transitions")).to_contain_text("asked to release")
    expect(page.locator("#release-2")).to_have_attribute("aria-disabled", "true")
    expect(page.locator("#release-2")).to_be_focused()
    expect(page.locator("#rule-idle_offload_s")).to_have_value("77")


def test_typing_goes_on_while_the_page_refreshes(scripted, new_page):
    page = new_page(scripted)
    page.goto("/gpu")
    field = page.locator("#rule-idle_offload_s")
    field.fill("12")
    for situation in ("degraded", "gpu"):
        change(scripted, degraded=situation == "degraded", degraded_reason="lost")
        expect(page.locator("#gpu-situation")).to_have_attribute("data-situation", situation)
    expect(field).to_be_focused()
    expect(field).to_have_value("12")
    page.keyboard.press("Enter")
    expect(page.locator("#gpu-message")).to_contain_text("The rules are saved")
    assert scripted.commands[-1][1]["idle_offload_s"] == 12.0


def test_worker_that_comes_back_brings_its_page_back(scripted, new_page):
    scripted.document = copy.deepcopy(OFFLINE)
    page = new_page(scripted)
    page.goto("/gpu")
    expect(page.get_by_text("Worker offline").last).to_be_visible()
    scripted.document = copy.deepcopy(GPU)
    expect(page.locator(".vram-bar")).to_be_visible()
    page.select_option("#rule-policy", "one_at_a_time")
    page.click("#save-rules")
    expect(page.locator("#gpu-message")).to_contain_text("The rules are saved")
    assert scripted.commands[-1][1]["policy"] == "one_at_a_time"


def test_button_with_the_keyboard_and_a_model_in_use(scripted, new_page):
    page = new_page(scripted, expect_errors=True)  # the browser notes the 409 in its console
    page.goto("/gpu")
    scripted.answer = ModelLeased("shape is in use by 1 job(s).")
    page.locator("#release-1").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#gpu-message")).to_contain_text("shape is in use by 1 job(s).")
    expect(page.locator("#release-1")).to_be_focused()
    scripted.answer = "draining"
    page.get_by_role("button", name="Release as soon as the job ends").click()
    expect(page.locator("#gpu-message")).to_contain_text("as soon as the jobs end")
    assert scripted.commands == [
        ("release", {"model": "shape", "drain": False}),
        ("release", {"model": "shape", "drain": True}),
    ]


def test_refresh_asks_at_once(scripted, new_page):
    page = new_page(scripted)
    page.goto("/gpu")
    page.evaluate("window.sameDocument = true")
    change(scripted, models=[model("newcomer", last_restore=RESTORE)])
    page.click("#gpu-refresh")
    expect(page.locator('[data-model="newcomer"]')).to_be_visible(timeout=1500)
    assert page.evaluate("window.sameDocument") is True


def test_buttons_and_rules_work_without_javascript(scripted, new_page):
    page = new_page(scripted, java_script_enabled=False, expect_errors=True)  # a 409 is noted
    page.goto("/gpu")
    page.click("#offload-2")
    expect(page.locator("#gpu-message")).to_contain_text("paint: off the GPU.")
    scripted.answer = ModelLeased("paint is in use by 2 job(s).")
    page.click("#release-2")
    expect(page.locator("#gpu-message")).to_contain_text("paint is in use by 2 job(s).")
    scripted.answer = "done"
    page.fill("#rule-idle_release_s", "900")
    page.click("#save-rules")
    expect(page.locator("#gpu-message")).to_contain_text("The rules are saved")
    assert scripted.commands[-1][1]["idle_release_s"] == 900.0


def test_models_of_a_real_worker_are_loaded_and_released(networks, new_page):
    page = new_page(networks)
    page.goto("/gpu")
    row = page.locator('[data-model="tiny_transformer"]')
    expect(row).to_contain_text("on disk")
    expect(page.locator("#gpu-situation")).to_contain_text("CPU mode")
    row.locator("button[value=preload]").click()
    expect(page.locator("#gpu-message")).to_contain_text("being loaded")
    expect(row).to_have_attribute("data-state", "resident")
    expect(row).to_contain_text("in memory, ready")
    expect(page.locator(".transitions")).to_contain_text("tiny_transformer")
    row.locator("button[value=release]").click()
    expect(row).to_have_attribute("data-state", "unloaded")
    page.fill("#rule-idle_release_s", "")
    page.select_option("#rule-policy", "one_at_a_time")
    page.click("#save-rules")
    expect(page.locator("#gpu-message")).to_contain_text("The rules are saved")
    page.reload()
    expect(page.locator("#rule-policy")).to_have_value("one_at_a_time")
    wait_for(lambda: _rules(page, networks) == ("one_at_a_time", -1.0))
    page.select_option("#rule-policy", "auto")  # as the other tests of this server found it
    page.click("#save-rules")
    wait_for(lambda: _rules(page, networks)[0] == "auto")


def test_damaged_model_of_a_real_worker_says_so(networks, new_page):
    page = new_page(networks)
    page.goto("/gpu")
    row = page.locator('[data-model="tiny_broken"]')
    row.locator("button[value=preload]").click()
    expect(row).to_contain_text("failed to load")
    expect(row.locator(".model-error")).to_contain_text("the file is damaged")


def _rules(page, server):
    rules = page.request.get(f"{server.url}/api/gpu/status").json()["residency"]
    return rules["policy"], rules["idle_release_s"]
