"""The timelines and the map of the models in a browser, with readings of a scripted card."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import expect
from werkzeug.serving import make_server

from backend.jobs.broker import redis_url
from backend.jobs.gpu_samples import (
    DeviceKind,
    Moment,
    SampledDevice,
    mark_fields,
    row_fields,
    rows_of,
)
from backend.jobs.residency_moves import MoveWriter
from backend.jobs.service import JobService
from backend.settings import Settings
from backend.units import SystemClock, iso
from backend.web.app import create_app
from tests.browser.sent_jobs import made
from tests.browser.test_appearance import violations, violations_by_scheme
from tests.jobs.scratch_redis import scratch_redis

MAX_WIRE_BYTES = 150_000
CARD = SampledDevice("GPU-1", "Scripted Card", DeviceKind.GPU)
ENTRY = itertools.count(1)
CANVASES = "#timelines canvas[role=img]"


def now_s() -> float:
    return SystemClock().now().timestamp()


def reading(**more):
    device = {
        "uuid": CARD.key, "name": CARD.name, "vram_used_mb": 5120, "vram_total_mb": 24576,
        "vram_used_by_us_mb": {"reserved": 3072}, "vram_used_by_others_mb": 2048,
        "gpu_util_pct": 80, "power_w": 300.0, "power_limit_w": 450.0, "temp_c": 60,
        "sm_clock_mhz": 1900, "sm_clock_max_mhz": 2500, "throttle": {"active": []},
    }  # fmt: skip
    return {"devices": [device | more]}


@dataclass
class Stage:
    """A web process with a Redis, and a hand that writes what a worker would."""

    url: str
    client: Any
    stopping: threading.Event

    def past(self, count=60, until_s=0.0, **more):
        """Write readings five seconds apart, the last ``until_s`` seconds ago."""
        newest_s = now_s() - until_s
        for number in range(count):
            self.read(newest_s - 5 * (count - 1 - number), **more)

    def read(self, at_s=None, **more):
        at_s = now_s() if at_s is None else at_s
        moment = Moment(round(at_s, 2), 300.0, "job1", "shape_generation")
        ((device, row),) = rows_of(reading(**more), moment)
        self.client.xadd(
            device.stream, row_fields(device, row), id=f"{int(1000 * at_s)}-{next(ENTRY)}"
        )

    def mark(self, stage):
        at_s = now_s()
        fields = mark_fields(CARD, at_s, "job1", stage)
        self.client.xadd(CARD.stream, fields, id=f"{int(1000 * at_s)}-{next(ENTRY)}")


@pytest.fixture(scope="module")
def redis_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("redis")
    with scratch_redis(folder):
        yield folder


@pytest.fixture
def stage(tmp_path, redis_folder) -> Iterator[Stage]:
    address = redis_url(redis_folder)
    service = JobService(
        Settings.from_env({}, data_dir=tmp_path, disk_floor_mb=1, redis_url=address)
    )
    service.events.client.flushdb()
    app = create_app(service.settings, service)
    web = make_server("127.0.0.1", 0, app, threaded=True)
    stopping = app.extensions["meshkiln.live"].stopping
    thread = threading.Thread(target=web.serve_forever, args=[0.02], daemon=True)
    thread.start()
    yield Stage(f"http://127.0.0.1:{web.port}", service.events.client, stopping)
    stopping.set()
    web.shutdown()
    thread.join()
    web.server_close()
    service.close()


def table(page, name):
    """The hidden table of a chart: line to last, lowest, mean and highest."""
    return page.get_by_role("table", name=name).evaluate(
        "t => Object.fromEntries([...t.tBodies[0].rows].map("
        "r => [r.cells[0].textContent, [...r.cells].slice(1).map(c => c.textContent)]))"
    )


def test_every_figure_of_a_card_is_drawn_named_and_told_in_a_table(stage, new_page):
    stage.past(30, gpu_util_pct=20)
    stage.past(1, gpu_util_pct=80, power_w=None)
    page = new_page(stage)
    page.goto("/performance")
    expect(page.locator(CANVASES)).to_have_count(5)
    labels = page.locator(CANVASES).evaluate_all("all => all.map(c => c.ariaLabel)")
    kinds = ["GPU memory", "Utilisation", "Power", "Temperature", "Clock"]
    assert [label.split(" of ")[0] for label in labels] == kinds
    assert all("Scripted Card" in label for label in labels)
    memory = table(page, "GPU memory of Scripted Card")
    assert memory["In use"] == ["5 GB"] * 4 or memory["In use"] == ["5.0 GB"] * 4
    assert memory["This server"][0] == "3.0 GB"
    assert memory["Other programs"][0] == "2.0 GB"
    assert memory["Free"][0] == "19.0 GB"
    busy = table(page, "Utilisation of Scripted Card")["GPU"]
    assert (busy[0], busy[1], busy[3]) == ("80 %", "20 %", "80 %")
    assert table(page, "Power of Scripted Card")["Drawn"][0] == "unknown"


@pytest.mark.parametrize("readings", [0, 20])
def test_page_has_no_accessibility_violations(stage, new_page, readings):
    stage.past(readings)
    page = new_page(stage)
    page.goto("/performance")
    state = "live" if readings else "empty"
    expect(page.locator("#timelines")).to_have_attribute("data-state", state)
    expect(page.locator(CANVASES)).to_have_count(5 if readings else 0)
    assert violations_by_scheme(page) == {}


@pytest.mark.parametrize("width", [360, 1280])
def test_panel_and_map_fit_the_screen(stage, new_page, width):
    stage.past()
    tell_moves(stage)
    page = new_page(stage, viewport={"width": width, "height": 740})
    page.goto("/performance")
    expect(page.locator(CANVASES)).to_have_count(5)
    for part in ("#timelines", "#perf-map-card section"):
        box = page.locator(part).bounding_box()
        assert box["x"] + box["width"] <= width
        inner = page.locator(part).evaluate("e => e.scrollWidth - e.clientWidth")
        assert inner <= 0, part


def test_new_readings_arrive_and_no_swap_touches_the_canvas(stage, new_page):
    stage.past(5)
    page = new_page(stage, reduced_motion="no-preference")
    page.goto("/performance")
    expect(page.locator(CANVASES)).to_have_count(5)
    page.evaluate("document.querySelector('#timelines canvas').dataset.mine = 'yes'")
    with page.expect_response("**/performance/live"):
        stage.read(temp_c=77)
        expect(page.locator("#timelines")).to_contain_text("77 °C")
    page.wait_for_timeout(500)
    assert page.evaluate("document.querySelector('#timelines canvas').dataset.mine") == "yes"


def test_a_lost_connection_is_told_and_taken_up_where_it_broke(stage, new_page):
    stage.past(5)
    page = new_page(stage, expect_errors=True, reduced_motion="no-preference")
    opened = []
    page.on("websocket", lambda socket: opened.append(socket.url))
    page.goto("/performance")
    expect(page.locator("#timelines")).to_have_attribute("data-state", "live")
    stage.stopping.set()
    expect(page.locator("#timelines-state")).to_contain_text("The connection is lost")
    stage.read(temp_c=78)
    stage.stopping.clear()
    expect(page.locator("#timelines")).to_have_attribute("data-state", "live")
    expect(page.locator("#timelines")).to_contain_text("78 °C")
    assert "last_id" not in opened[0]
    assert "last_id=" in opened[-1]


def test_a_worker_that_is_silent_is_told_once_and_its_line_ends(stage, new_page):
    stage.past(5, until_s=40)
    page = new_page(stage)
    page.goto("/performance")
    expect(page.locator("#timelines-state")).to_contain_text("no worker reports")
    expect(page.locator(CANVASES)).to_have_count(5)
    stage.read()
    expect(page.locator("#timelines")).to_have_attribute("data-state", "live")


def test_what_slowed_the_card_down_is_told_in_words(stage, new_page):
    stage.past(10, until_s=5)
    stage.read(now_s() - 0.5, throttle={"active": ["power_cap", "thermal"]})
    page = new_page(stage)
    page.goto("/performance")
    note = page.locator(".timeline-note", has_text="Slowed down")
    expect(note).to_have_text("Slowed down in 1 of 11 readings: power cap, thermal.")


def drawn_picture(page):
    return page.evaluate("document.querySelector('#timelines canvas').toDataURL()")


def test_stages_and_the_theme_change_the_picture(stage, new_page):
    stage.past(20, until_s=2)
    page = new_page(stage, reduced_motion="reduce")  # it does not move by itself for ten seconds
    page.goto("/performance")
    expect(page.locator(CANVASES)).to_have_count(5)
    page.wait_for_timeout(300)
    before = drawn_picture(page)
    page.wait_for_timeout(1500)
    assert drawn_picture(page) == before
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.wait_for_timeout(300)
    dark = drawn_picture(page)
    assert dark != before
    page.evaluate("document.documentElement.dataset.theme = 'light'")
    page.wait_for_timeout(300)
    assert drawn_picture(page) == before


def test_little_motion_means_a_picture_that_rests(stage, new_page):
    stage.past(5)
    page = new_page(stage, reduced_motion="reduce")
    page.clock.install()
    told = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda text: told.append(text)))
    page.goto("/performance")
    expect(page.locator(CANVASES)).to_have_count(5)
    stage.read(temp_c=79)
    while not any("79" in message for message in told[1:]):
        page.wait_for_timeout(50)
    page.clock.run_for(2500)
    expect(page.locator("#timelines")).not_to_contain_text("79 °C")
    page.clock.run_for(8000)
    expect(page.locator("#timelines")).to_contain_text("79 °C")


def test_a_stage_that_begins_is_marked(stage, new_page):
    stage.past(20)
    page = new_page(stage, reduced_motion="no-preference")
    page.goto("/performance")
    expect(page.locator(CANVASES)).to_have_count(5)
    drawn = "document.querySelector('#timelines canvas').getContext('2d')"
    page.evaluate(
        "() => { window.written = [];"
        f"const context = {drawn}; const write = context.fillText.bind(context);"
        "context.fillText = (text, ...at) => { window.written.push(text); write(text, ...at); }; }"
    )
    stage.mark("mesh_export")
    for _ in range(60):
        if page.evaluate("window.written.includes('mesh export')"):
            break
        page.wait_for_timeout(250)
    assert "mesh export" in page.evaluate("window.written")


def test_without_javascript_the_last_minutes_are_a_still_picture(stage, new_page):
    stage.past(60)
    page = new_page(stage, java_script_enabled=False)
    page.goto("/performance")
    still = page.get_by_role("img", name="Utilisation of Scripted Card in the last ten minutes")
    expect(still).to_be_visible()
    points = still.locator("polyline").first.get_attribute("points").split()
    assert len(points) >= 55
    assert {point.split(",")[1] for point in points} == {"23.1"}  # 80 of 104 %
    expect(page.locator("#timelines")).to_contain_text("highest 5.0 GB")


def test_page_and_all_it_loads_are_light_on_the_wire(stage, new_page):
    stage.past(120)
    tell_moves(stage)
    page = new_page(stage)
    requests = []
    page.on("requestfinished", lambda request: requests.append(request))
    page.goto("/performance")
    expect(page.locator(CANVASES)).to_have_count(5)
    page.wait_for_timeout(500)
    measured = [(request.url, request.sizes()) for request in requests]
    sizes = {url: size["responseBodySize"] + size["responseHeadersSize"] for url, size in measured}
    assert any("uPlot" in url for url in sizes)
    assert sum(sizes.values()) < MAX_WIRE_BYTES, sizes


def move(seq, before, after):
    return {"seq": seq, "at": iso(SystemClock().now()), "model": "shape_model", "from": before,
            "to": after, "reason": "wanted by a job"}  # fmt: skip


def tell_moves(stage):
    states = ["unloaded", "loading", "host", "restoring", "resident"]
    moves = [move(seq, *pair) for seq, pair in enumerate(itertools.pairwise(states), 1)]
    MoveWriter(stage.client, "kiln:1:1", "kiln:0").publish(
        {
            "sampled_at": iso(SystemClock().now()),
            "models": [{"name": "shape_model"}],
            "residency": {"backend": "cuda", "transitions": moves},
        }
    )


def test_map_of_the_models_says_the_same_as_its_table(stage, new_page):
    page = new_page(stage)
    page.goto("/performance")
    expect(page.locator("#perf-map-card")).to_contain_text("No worker manages models now")
    tell_moves(stage)
    chart = page.get_by_role("img", name="Models on the GPU, in host memory and on disk")
    expect(chart).to_be_visible()
    expect(chart.locator(".map-gpu")).to_have_count(1)
    moves = page.get_by_role("table", name="Moves of the models, newest first")
    expect(moves.locator("tbody tr")).to_have_count(4)
    expect(moves.locator("tbody tr").first).to_contain_text("on the GPU")
    assert violations(page) == []


def test_a_real_job_on_a_machine_without_a_card_is_told_as_the_host(server, new_page, picture):
    made(server, picture, texture="false")
    page = new_page(server)
    page.goto("/performance")
    expect(page.locator("#timelines-live h3")).to_contain_text("no GPU is read")
    expect(page.locator(CANVASES)).to_have_count(2)
    expect(page.locator("#timelines")).not_to_contain_text("GPU memory")
    cores = page.get_by_role("table", name="Host processor of")
    expect(cores.locator("tbody td").first).to_contain_text("%")
