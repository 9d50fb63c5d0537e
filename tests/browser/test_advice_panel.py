"""Advice in a browser: what its buttons do, and how it looks to those who do not look."""

from __future__ import annotations

import copy
import threading
from dataclasses import dataclass, field
from typing import Any

import pytest
from flask import redirect
from playwright.sync_api import expect
from werkzeug.serving import make_server

from backend.errors import AdviceOutdated
from backend.jobs.service import JobService
from backend.settings import Settings
from backend.web.app import create_app
from backend.web.pages import performance as page_module
from tests.browser.test_appearance import violations, violations_by_scheme
from tests.pages.test_advice_panel import (
    EXPERIMENTS,
    FULL,
    advised,
    batched,
    experiment,
    item,
)
from tests.pages.test_performance_page import document, run

COMPARED = "/performance?before=1.0&after=1.1"
ADVISED = document(advice=advised(item(), experiments=EXPERIMENTS[1:2]))
ON_TRIAL = document(
    advice=advised(
        item(verify={"state": "applied", "reason": None}), experiments=[experiment("applied")]
    )
)


@dataclass
class AdvisedServer:
    """A web process with scripted advice; its forms arrive in ``sent``."""

    url: str
    document: dict[str, Any]
    after: dict[str, Any] | None = None
    sent: list[str] = field(default_factory=list)


@pytest.fixture
def advised_server(tmp_path, monkeypatch):
    service = JobService(Settings.from_env({}, data_dir=tmp_path, disk_floor_mb=1))
    app = create_app(service.settings, service)
    web = make_server("127.0.0.1", 0, app, threaded=True)
    made = AdvisedServer(f"http://127.0.0.1:{web.port}", copy.deepcopy(ADVISED))
    monkeypatch.setattr(
        page_module, "performance_document", lambda service, wanted=None: made.document
    )

    def act(action):
        def answer(advice_id):
            made.sent.append(f"{advice_id} {action}")
            if made.after is None:
                raise AdviceOutdated("The last runs do not support this advice any more.")
            made.document = made.after
            return redirect("/performance?pipeline=image_to_3d&shape=draft-256", 303)

        return answer

    for action in ("apply", "dismiss", "revert"):
        app.view_functions[f"recommendation_actions.{action}"] = act(action)
    thread = threading.Thread(target=web.serve_forever, args=[0.02], daemon=True)
    thread.start()
    yield made
    web.shutdown()
    thread.join()
    web.server_close()
    service.close()


@pytest.mark.parametrize("width", [360, 1280])
def test_every_state_is_accessible_and_fits(advised_server, new_page, width):
    advised_server.document = copy.deepcopy(FULL)
    page = new_page(advised_server, viewport={"width": width, "height": 800})
    page.goto(COMPARED)
    expect(page.locator("#advice-list > li")).to_have_count(5)
    expect(page.locator("#perf-experiments tbody tr")).to_have_count(6)
    for summary in page.locator("#advice-list summary").all():
        summary.click()
    assert violations_by_scheme(page) == {}
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_batches_are_accessible(advised_server, new_page):
    advised_server.document = batched([1, 2, 4, 4, 8, 12])
    page = new_page(advised_server)
    page.goto("/performance")
    expect(page.get_by_role("img", name="Runs by the size of their batch")).to_be_visible()
    assert violations_by_scheme(page) == {}


def test_apply_shows_the_trial_without_leaving_the_page(advised_server, new_page):
    advised_server.after = ON_TRIAL
    page = new_page(advised_server)
    page.goto("/performance")
    page.evaluate("window.sameDocument = true")
    page.locator("#perf-first").get_by_role("button", name="Apply").click()
    expect(page.locator("#perf-experiments")).to_contain_text("on trial, 0 of 5 pairs")
    expect(page.locator("#perf-trials")).to_have_text("On trial: Advice applied. ")
    expect(page.locator("#perf-first button")).to_be_focused()
    expect(page.locator("#perf-first button")).to_have_attribute("aria-disabled", "true")
    assert page.evaluate("window.sameDocument") is True
    assert page.locator("#perf-live #perf-live").count() == 0
    assert advised_server.sent == ["slow_encoding.mesh_export apply"]
    assert violations(page) == []


def test_refusal_is_shown_and_goes_with_the_next_success(advised_server, new_page):
    page = new_page(advised_server, expect_errors=True)
    page.goto("/performance")
    page.locator("#advice-list").get_by_role("button", name="Dismiss").click()
    refusal = page.locator("#perf-message").get_by_role("alert")
    expect(refusal).to_contain_text("do not support this advice any more")
    expect(page.locator("#advice-list > li")).to_have_count(1)
    assert violations(page) == []
    advised_server.after = document(advice=advised(note="Nothing more to change."))
    page.locator("#advice-list").get_by_role("button", name="Dismiss").click()
    expect(page.locator("#advice-note")).to_have_text("Nothing more to change.")
    expect(refusal).to_have_count(0)
    assert advised_server.sent == ["slow_encoding.mesh_export dismiss"] * 2


def test_forms_work_without_javascript(advised_server, new_page):
    advised_server.after = document(advice=advised(note="Nothing more to change."))
    page = new_page(advised_server, java_script_enabled=False)
    page.goto("/performance")
    page.get_by_role("button", name="Revert").click()
    expect(page.locator("#advice-note")).to_have_text("Nothing more to change.")
    assert page.url.endswith("/performance?pipeline=image_to_3d&shape=draft-256")
    assert advised_server.sent == ["slow_encoding.mesh_export revert"]


def test_opened_figures_stay_open_while_the_page_moves(advised_server, new_page):
    page = new_page(advised_server)
    page.goto("/performance")
    page.locator("#advice-list summary").click()
    advised_server.document = document([run(99)], advice=advised(item(detail="Files get larger.")))
    expect(page.locator("#advice-list")).to_contain_text("Files get larger.")
    expect(page.locator('[data-run="run099"]')).to_be_visible()
    expect(page.locator("#advice-list details td").first).to_be_visible()


def test_unmeasured_targets_open_on_demand(advised_server, new_page):
    page = new_page(advised_server)
    page.goto("/performance")
    folded = page.locator('[data-target="parts"]')
    expect(folded).to_be_hidden()
    page.get_by_text("1 target not measured").click()
    expect(folded).to_be_visible()
    assert violations(page) == []
