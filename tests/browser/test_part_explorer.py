"""The part explorer in Chromium, on a finished job whose files are made here."""

from __future__ import annotations

import io
import json
import random
import struct
import threading
from dataclasses import dataclass

import numpy as np
import pytest
import trimesh
from PIL import Image
from playwright.sync_api import expect
from werkzeug.serving import make_server

from backend.jobs.parts.division import read_division
from tests.browser.test_appearance import violations
from tests.conftest import png_bytes
from tests.jobs.parts.made_tree import (
    made_tree,
    row_of_boxes,
    surface_glb,
    tree_data,
    with_made_parts,
)
from tests.web.conftest import Server, serving
from tests.web.test_parts_api import finish

BOXES = 8
VIEW = {"width": 1000, "height": 640}
TREE = made_tree(BOXES, seed=3, suggested=4)
TREE = with_made_parts(TREE, read_division(TREE).parts)
VERTICES, FACES, PATCHES = row_of_boxes(BOXES, cells=3)
FACES_PER_BOX = 12 * 3**2
TEXTURE = png_bytes(Image.new("RGB", (4, 4), (200, 120, 40)))
FILES = {
    "part_tree.json": ("part_tree", json.dumps(TREE).encode()),
    "part_tree.npz": ("part_tree_data", tree_data(PATCHES[FACES[:, 0]])),
    "surface.glb": ("surface", surface_glb(VERTICES, FACES, PATCHES, TEXTURE)),
    "parts.zip": ("parts_zip", b"PK"),
}


@dataclass
class PartsServer:
    """The app in a thread of this process; each test takes a job of its own."""

    url: str
    server: Server

    def job(self) -> str:
        new = self.server.service.prepare("segment_parts", {}, "row.glb")
        self.server.service.submit(new, {"mesh.glb": b""})
        return finish(self.server, FILES)


@pytest.fixture(scope="module")
def parts_server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("parts")) as server:
        listener = make_server("127.0.0.1", 0, server.app, threaded=True)
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        yield PartsServer(f"http://127.0.0.1:{listener.port}", server)
        listener.shutdown()


@pytest.fixture
def explore(parts_server, new_page):
    """Open the page of a new job and wait until its parts are drawn."""

    def open_page(job=None, **options):
        page = new_page(parts_server, **({"viewport": VIEW} | options))
        page.goto(f"/jobs/{job or parts_server.job()}")
        expect(page.locator("part-explorer")).to_have_attribute("data-ready", "true")
        return page

    return open_page


def rows(page):
    return page.locator("part-explorer [role=option]")


def told(page):
    return page.locator("part-explorer [role=status]")


def button(page, name):
    return page.locator("part-explorer").get_by_role("button", name=name, exact=True)


def drag(page, count):
    page.evaluate(
        """count => {
          const slider = document.getElementById("parts-slider");
          slider.value = count;
          slider.dispatchEvent(new Event("input", { bubbles: true }));
        }""",
        count,
    )


def let_go(page):
    page.evaluate("document.getElementById('parts-slider').dispatchEvent(new Event('change'))")


def place_of(page, patch):
    """Where the middle of the front of a patch is in the window."""
    return page.evaluate(
        """patch => {
          const { scene } = document.querySelector("part-explorer");
          const box = scene.boxes[patch];
          const at = scene.camera.position.clone();
          at.set((box[0] + box[3]) / 2, (box[1] + box[4]) / 2, box[5]).project(scene.camera);
          const { left, top, width, height } = scene.canvas.getBoundingClientRect();
          return [left + (width * (at.x + 1)) / 2, top + (height * (1 - at.y)) / 2];
        }""",
        patch,
    )


def saved_parts(page, parts_server):
    path = page.url[page.url.index("/jobs/") :]
    return page.request.get(f"{parts_server.url}/api/v1{path}/parts").json()


def test_the_slider_answers_while_it_is_dragged(explore, parts_server):
    page = explore()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    division = read_division(TREE)
    expect(rows(page)).to_have_count(4)
    for count in (8, 2, 5):
        drag(page, count)
        expect(rows(page)).to_have_count(count)
        faces = [len(patches) * FACES_PER_BOX for patches in division.with_count(count).parts]
        shown = [int(text.split(" faces")[0].replace("\u202f", "")) for text in
                 page.locator(".part-facts").all_text_contents()]  # fmt: skip
        assert shown == faces
    assert [url for url in asked if "/parts" in url] == []
    assert button(page, "Undo").is_disabled(), "dragging alone is no edit"
    let_go(page)
    expect(told(page)).to_have_text("5 parts")
    button(page, "Save as a new version").click()
    expect(page.get_by_text("Saved as version 2", exact=True)).to_be_visible()
    assert saved_parts(page, parts_server)["granularity"]["count"] == 5


def test_a_click_on_the_model_chooses_the_part_under_it(explore):
    page = explore()
    part_of = read_division(TREE).patch_parts
    for patch in (0, 5):
        page.mouse.click(*place_of(page, patch))
        expect(told(page)).to_have_text(f"part_{part_of[patch]:02d} chosen")
        expect(page.locator("[role=option][aria-selected=true]")).to_have_count(1)
        expect(rows(page).nth(part_of[patch])).to_have_attribute("aria-selected", "true")
    other = next(patch for patch in range(BOXES) if part_of[patch] != part_of[5])
    page.keyboard.down("Shift")
    page.mouse.click(*place_of(page, other))
    page.keyboard.up("Shift")
    expect(page.locator("[role=option][aria-selected=true]")).to_have_count(2)
    page.mouse.move(*place_of(page, 3))
    expect(rows(page).nth(part_of[3])).to_have_class("part part-pointed")


def test_a_hidden_part_cannot_be_picked_and_isolating_shows_one(explore):
    page = explore()
    part_of = read_division(TREE).patch_parts
    page.mouse.click(*place_of(page, 0))
    expect(told(page)).to_have_text("part_00 chosen")
    button(page, "Hide").click()
    expect(page.locator(".part-hidden")).to_have_count(1)
    page.mouse.click(*place_of(page, 0))
    expect(told(page)).to_have_text("nothing chosen")
    rows(page).nth(part_of[5]).click()
    button(page, "Isolate").click()
    expect(page.locator(".part-hidden")).to_have_count(3)
    page.mouse.click(*place_of(page, 5))
    button(page, "Show all").click()
    expect(page.locator(".part-hidden")).to_have_count(0)


def test_merge_split_undo_and_redo_by_keyboard(explore, parts_server):
    page = explore()
    first = read_division(TREE)
    rows(page).nth(1).click()
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("m")
    expect(told(page)).to_have_text("part_01 and part_02 merged: 3 parts")
    merged = first.merged([1, 2])
    expect(rows(page)).to_have_count(3)
    expect(rows(page).nth(1)).to_have_attribute("aria-selected", "true")
    page.keyboard.press("s")
    expect(told(page)).to_have_text("part_01 split: 4 parts")
    expect(page.locator("[role=option][aria-selected=true]")).to_have_count(2)
    for key, count in (("z", 3), ("z", 4), ("Shift+z", 3)):
        page.keyboard.press(f"Control+{key}")
        expect(rows(page)).to_have_count(count)
    expect(page.get_by_text("Version 1, 1 change not saved")).to_be_visible()
    page.keyboard.press("Control+s")
    expect(page.get_by_text("Saved as version 2", exact=True)).to_be_visible()
    assert saved_parts(page, parts_server)["patch_parts"] == merged.patch_parts
    page.reload()
    expect(rows(page)).to_have_count(3)
    button(page, "Undo").click()
    expect(rows(page)).to_have_count(4)
    button(page, "Save as a new version").click()
    expect(page.get_by_text("Saved as version 3", exact=True)).to_be_visible()
    assert saved_parts(page, parts_server)["patch_parts"] == first.patch_parts


def test_renaming_and_somebody_elses_version(explore, parts_server):
    page = explore()
    other = explore(page.url.rsplit("/", 1)[1], expect_errors=True)  # a 412 is told in the console
    rows(page).nth(2).click()
    page.keyboard.press("r")
    page.locator("#parts-name").fill("A <b>wheel</b>")
    page.keyboard.press("Enter")
    expect(rows(page).nth(2).locator(".part-name")).to_have_text("A <b>wheel</b>")
    expect(rows(page).nth(2)).to_be_focused()
    button(page, "Save as a new version").click()
    expect(page.get_by_text("Saved as version 2", exact=True)).to_be_visible()
    drag(other, 6)
    let_go(other)
    button(other, "Save as a new version").click()
    expect(other.get_by_text("The parts are at version 2, not 1.").first).to_be_visible()
    button(other, "Load the newest version").click()
    expect(rows(other).nth(2).locator(".part-name")).to_have_text("A <b>wheel</b>")
    assert saved_parts(page, parts_server)["version"] == 2


def test_chosen_parts_are_downloaded(explore, tmp_path):
    page = explore()
    patches = read_division(TREE).parts
    rows(page).nth(0).click()
    rows(page).nth(3).click(modifiers=["Control"])
    with page.expect_download() as found:
        button(page, "Download GLB").click()
    assert found.value.suggested_filename == "row-parts.glb"
    found.value.save_as(tmp_path / "chosen.glb")
    scene = trimesh.load(tmp_path / "chosen.glb")
    assert set(scene.graph.nodes_geometry) == {"part_00", "part_03"}
    for index in (0, 3):
        mesh = scene.geometry[f"part_{index:02d}"]
        assert len(mesh.faces) == FACES_PER_BOX * len(patches[index])
        wanted = np.isin(PATCHES, patches[index])
        assert np.allclose(mesh.bounds, [VERTICES[wanted].min(0), VERTICES[wanted].max(0)])
        assert mesh.visual.material.baseColorTexture.getpixel((0, 0))[:3] == (200, 120, 40)
    with page.expect_download() as found:
        button(page, "Download STL").click()
    found.value.save_as(tmp_path / "chosen.stl")
    data = (tmp_path / "chosen.stl").read_bytes()
    count = FACES_PER_BOX * (len(patches[0]) + len(patches[3]))
    assert struct.unpack_from("<I", data, 80)[0] == count
    solid = trimesh.load(io.BytesIO(data), file_type="stl")
    assert len(solid.faces) == count
    assert solid.volume == pytest.approx(0.8**3 * (len(patches[0]) + len(patches[3])), rel=1e-4)


def test_it_draws_only_when_something_changes(explore):
    page = explore()
    count, before = "document.querySelector('part-explorer').frames", 0
    while before == 0 or before != page.evaluate(count):  # until the first frames are through
        before = page.evaluate(count)
        page.wait_for_timeout(300)
    page.wait_for_timeout(300)
    assert page.evaluate(count) == before <= 5
    page.locator(".parts-stage").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(300)
    assert page.evaluate(count) > before


def test_views_of_the_model_differ(explore):
    page = explore()
    stage = page.locator(".parts-stage canvas")
    pictures = [stage.screenshot()]
    page.get_by_role("button", name="Appearance", exact=True).last.click()
    pictures.append(stage.screenshot())
    for name in ("Wireframe", "Boxes"):
        page.get_by_label(name).check()
        page.wait_for_timeout(150)
        pictures.append(stage.screenshot())
    page.get_by_label("Explode").fill("100")
    page.wait_for_timeout(150)
    pictures.append(stage.screenshot())
    assert len(set(pictures)) == 5
    orange = np.asarray(Image.open(io.BytesIO(pictures[1])).convert("RGB")).astype(int)
    assert ((orange[..., 0] - orange[..., 2]) > 60).mean() > 0.02, "the texture is seen"


def test_the_page_divides_as_the_server_does(explore):
    rng, document = random.Random(5), made_tree(40, seed=5, bodies=2, suggested=9)
    division, edits, expected = read_division(document), [], []
    for _ in range(120):
        able = [index for index, patches in enumerate(division.parts) if len(patches) > 1]
        kind = rng.randrange(4)
        if kind == 0:
            count = rng.randint(division.fewest, 40)
            edits.append({"count": count})
            division = division.with_count(count)
        elif kind == 1 and able:
            edits.append({"split": rng.choice(able)})
            division = division.split(edits[-1]["split"])
        elif kind == 2 and division.count > 3:
            edits.append({"merge": rng.sample(range(division.count), rng.randint(2, 3))})
            division = division.merged(edits[-1]["merge"])
        else:
            index = rng.randrange(division.count)
            edits.append({"rename": {str(index): f"name {len(edits)}"}})
            division = division.renamed({index: f"name {len(edits) - 1}"})
        names = [division.part_names.get(i, f"part_{i:02d}") for i in range(division.count)]
        expected.append([division.patch_parts, division.fewest, names])
    page = explore()
    found = page.evaluate(
        """async ({ document_, edits }) => {
          const { Division } = await import("/static/js/part-division.js");
          let division = Division.read(document_);
          return edits.map((edit) => {
            division = division.after(edit);
            const names = division.parts.map((_, index) => division.nameOf(index));
            return [division.patchParts, division.fewest, names];
          });
        }""",
        {"document_": document, "edits": edits},
    )
    assert found == expected


def test_parts_appear_once_on_a_page_that_was_open_before(parts_server, new_page):
    service = parts_server.server.service
    new = service.prepare("segment_parts", {}, "row.glb")
    service.submit(new, {"mesh.glb": b""})
    page = new_page(parts_server, viewport=VIEW, expect_errors=True)  # there is no Redis
    page.goto(f"/jobs/{new.id}")
    expect(page.locator("#viewer")).to_be_visible()
    finish(parts_server.server, FILES)
    page.evaluate(
        """async path => {
          const answer = await fetch(path);
          document.getElementById("job-live").outerHTML = await answer.text();
          for (let n = 0; n < 3; n += 1) document.dispatchEvent(new Event("htmx:after:swap"));
        }""",
        f"/jobs/{new.id}/live",
    )
    expect(page.locator("part-explorer[data-ready=true]")).to_have_count(1)
    expect(page.locator("#viewer")).to_have_count(0)
    expect(page.get_by_role("region", name="Parts", exact=True)).to_have_count(1)


def test_saved_parts_are_sent_to_be_closed(explore, parts_server):
    page = explore()
    drag(page, 6)
    let_go(page)
    expect(button(page, "Close these parts")).to_be_disabled()
    button(page, "Save as a new version").click()
    expect(page.get_by_text("Saved as version 2", exact=True)).to_be_visible()
    sent = []

    def take(route):
        sent.append(route.request.post_data_buffer)
        route.fulfill(status=202, json={"links": {"page": "/gallery"}})

    page.route("**/api/v1/jobs", take)
    button(page, "Close these parts").click()
    page.wait_for_url("**/gallery")
    ids = np.array(read_division(TREE).with_count(6).patch_parts)[PATCHES[FACES[:, 0]]]
    assert ids.astype("<i4").tobytes() in sent[0]
    assert b"complete_parts" in sent[0]


def test_without_webgl_the_list_still_works(parts_server, new_page):
    page = new_page(parts_server, expect_errors=True, viewport=VIEW)
    page.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
    page.goto(f"/jobs/{parts_server.job()}")
    expect(page.get_by_text("is WebGL switched off?")).to_be_visible()
    rows(page).nth(0).click()
    rows(page).nth(1).click(modifiers=["Shift"])
    button(page, "Merge").click()
    expect(rows(page)).to_have_count(3)
    with page.expect_download():
        button(page, "Download GLB").click()


def test_files_that_do_not_come_leave_a_table(parts_server, new_page):
    page = new_page(parts_server, expect_errors=True, viewport=VIEW)
    page.route("**/surface.glb*", lambda route: route.fulfill(status=500))
    page.goto(f"/jobs/{parts_server.job()}")
    expect(page.get_by_text("The parts could not be loaded.")).to_be_visible()
    expect(page.locator("[data-fallback] tbody tr")).to_have_count(4)


def test_without_javascript_there_is_a_table(parts_server, new_page):
    page = new_page(parts_server, java_script_enabled=False)
    page.goto(f"/jobs/{parts_server.job()}")
    expect(page.locator("[data-fallback] tbody tr")).to_have_count(4)
    expect(page.get_by_text("0.5 m³")).to_be_visible()
    expect(page.get_by_text("Turn on JavaScript to look at the parts")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible_and_narrow_screens_do_not_scroll_sideways(explore, scheme):
    page = explore(color_scheme=scheme, viewport={"width": 360, "height": 740})
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    rows(page).nth(1).click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.keyboard.press("r")
    assert violations(page) == []
