from __future__ import annotations

import io
import os
import re
import signal
import time

import numpy as np
import psutil
import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.browser.sent_jobs import made
from tests.browser.test_generate_page import SMALL, upload, wait_done
from tests.jobs.scripted_runner import HOLD


def test_page_recovers_when_the_web_process_is_killed(slow_server, new_page, picture):
    # the lost socket is noted in the console
    page = new_page(slow_server, expect_errors=True, viewport=SMALL)
    upload(page, picture, textured=False)
    expect(page.locator("#stage-shape_generation.stage-running")).to_be_visible()
    before = slow_server.web_process()
    for process in [before.parent(), before]:
        process.send_signal(signal.SIGKILL)
    page.evaluate("window.sameDocument = true")
    wait_done(page)
    assert page.evaluate("window.sameDocument") is True, "the page was not reloaded"
    assert slow_server.web_process().pid != before.pid
    expect(page.locator("#connection")).to_be_hidden()
    expect(page.locator("#viewer")).to_have_attribute("data-ready", "true")


NEVER_OPENS = """
window.WebSocket = class extends EventTarget {
  static CONNECTING = 0; static OPEN = 1; static CLOSING = 2; static CLOSED = 3;
  readyState = 0;
  close() {}
};
"""


def test_page_moves_on_when_the_socket_never_opens(slow_server, new_page, picture):
    page = new_page(slow_server, draws=False)
    page.add_init_script(NEVER_OPENS)
    upload(page, picture, textured=False)
    expect(page.locator("#connection")).to_be_visible(timeout=10_000)
    wait_done(page)
    expect(page.locator("#connection")).to_be_hidden()


@pytest.fixture
def held(slow_server):
    """No stage of the slow server ends, however long a page takes to be there."""
    hold = slow_server.data_dir / HOLD
    hold.touch()
    yield
    hold.unlink()


@pytest.mark.usefixtures("held")
def test_socket_opens_although_its_script_arrives_after_htmx(slow_server, new_page, picture):
    page = new_page(slow_server, draws=False)

    def deliver_late(route):
        page.wait_for_timeout(300)
        route.continue_()

    page.route("**/hx-ws.min.js", deliver_late)
    with page.expect_websocket(timeout=10_000):
        upload(page, picture, textured=False)
    page.click("#cancel")
    wait_done(page, "canceled")


def test_page_moves_on_when_an_open_socket_says_nothing(slow_server, new_page, picture):
    page = new_page(slow_server, draws=False)
    page.route_web_socket(lambda url: "/ws/jobs/" in url, lambda socket: None)
    upload(page, picture, textured=False)
    wait_done(page)
    expect(page.locator("#connection")).to_be_hidden()


def test_killed_worker_does_not_cost_the_job(slow_server, new_page, picture):
    page = new_page(slow_server, draws=False)
    upload(page, picture, textured=False)
    expect(page.locator("#stage-shape_generation.stage-running")).to_be_visible()
    for status in _worker_statuses(page, slow_server):
        if status["state"] == "busy":
            os.kill(status["pid"], signal.SIGKILL)
    expect(page.get_by_text("attempt 2 of 3")).to_be_visible()
    wait_done(page)
    job = page.request.get(slow_server.url + "/api/v1" + _path(page)).json()
    assert job["attempt"] == 2
    names = [output["name"] for output in job["outputs"]]
    assert {"cutout.png", "model.glb", "model.stl", "thumbnail.png"} < set(names)
    assert len(set(names)) == len(names), "none twice"


@pytest.mark.usefixtures("held")
def test_running_job_is_canceled_from_another_tab(slow_server, new_page, picture):
    page = new_page(slow_server, draws=False)
    upload(page, picture, textured=False)
    other = new_page(slow_server, draws=False)
    other.goto(page.url)
    for tab in (page, other):
        expect(tab.locator(".stage-running")).to_be_visible()
    other.click("#cancel")
    wait_done(other, "canceled")
    wait_done(page, "canceled")
    expect(page.locator("#viewer-text")).to_have_text("No model was made.")
    expect(page.locator("#retry")).to_be_visible()


def test_job_can_be_renamed_duplicated_run_again_and_deleted(server, new_page, picture):
    page = new_page(server, draws=False)
    page.goto(made(server, picture, texture="false"))
    first = page.url
    page.fill("#name", "A <b>doll</b>")
    page.get_by_role("button", name="Rename").click()
    expect(page.locator("#name")).to_have_value("A <b>doll</b>")
    assert page.locator("h1 b").count() == 0
    page.get_by_role("link", name="Duplicate with changes").click()
    expect(page.locator("input[name=preset][value=draft]")).to_be_checked()
    expect(page.get_by_text("Uses the picture of")).to_be_visible()
    page.click("#submit")
    page.wait_for_url("**/jobs/*")
    copy = page.request.get("/api/v1" + _path(page)).json()
    assert (copy["params"]["preset"], copy["params"]["texture"]) == ("draft", False)
    page.request.post(copy["links"]["cancel"])  # it has been seen to start
    page.goto(first)
    page.click("#retry")
    page.wait_for_url(lambda url: url != first)
    again = page.request.get("/api/v1" + _path(page)).json()
    assert again["retry_of"] == first.rpartition("/")[2]
    wait_done(page)
    page.on("dialog", lambda dialog: dialog.accept())
    page.click("#delete")
    page.wait_for_url("**/gallery")


def test_geometry_and_appearance(server, new_page, picture):
    page = new_page(server, viewport=SMALL)
    page.goto(made(server, picture))
    expect(page.locator("#viewer")).to_have_attribute("data-ready", "true")
    # here the processor draws; it gets a light that is quick to spread
    model = page.locator("model-viewer")
    expect(model).to_have_attribute("environment-image", re.compile(r"^blob:.*\.hdr$"))
    deadline_s = time.monotonic() + 20
    while not (lit := lit_share(model)) and time.monotonic() < deadline_s:
        page.wait_for_timeout(200)  # it is faded in
    assert lit > 0.02
    page.click("#show-geometry")
    expect(page.locator("#show-geometry")).to_have_attribute("aria-pressed", "true")
    page.click("#show-appearance")
    expect(page.locator("#show-appearance")).to_have_attribute("aria-pressed", "true")
    before = model.evaluate("element => element.getCameraOrbit().theta")
    drag_from_the_middle(page, model)
    page.wait_for_function(
        "before => document.querySelector('model-viewer').getCameraOrbit().theta !== before",
        arg=before,
    )


def drag_from_the_middle(page, model):
    box = model.bounding_box()
    x, y = (box["x"] + box["width"] / 2 + 3, box["y"] + box["height"] / 2 + 3)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 60, y, steps=6)
    page.mouse.up()


def test_focus_survives_live_updates(slow_server, new_page, picture):
    page = new_page(slow_server, draws=False)
    upload(page, picture, textured=False)
    page.locator("#cancel").focus()
    expect(page.locator("#stage-mesh_refinement.stage-running")).to_be_visible()
    expect(page.locator("#cancel")).to_be_focused()
    wait_done(page)


def lit_share(model) -> float:
    """Share of the view that shows the shirt bright and blue; without light it is black."""
    shot = np.asarray(Image.open(io.BytesIO(model.screenshot())).convert("RGB")).astype(int)
    return float(((shot[..., 2] > 150) & (shot[..., 2] - shot[..., 0] > 80)).mean())


def _path(page):
    return page.url[page.url.index("/jobs/") :]


def _worker_statuses(page, server):
    """Worker children of the server that are claimed by a job, from its readiness report."""
    workers = page.request.get(f"{server.url}/readyz").json()["workers"]
    alive = [w for w in workers if psutil.pid_exists(w["pid"])]
    assert alive
    return alive
