"""Edits by hand on the page of parts, and keeping them."""

from __future__ import annotations

import random

import numpy as np
from playwright.sync_api import expect

from backend.jobs.parts.division import read_division
from tests.browser.parts.explorer_page import (
    FACES,
    FACES_PER_BOX,
    PATCHES,
    TREE,
    button,
    drag,
    let_go,
    rows,
    saved_parts,
    told,
)
from tests.jobs.parts.made_tree import made_tree


def test_the_slider_answers_while_it_is_dragged(explore, parts_server):
    page = explore()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    division = read_division(TREE)
    expect(rows(page)).to_have_count(4)
    expect(rows(page).nth(1)).to_contain_text("2\u202f740 cm³")
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
    button(page, "Undo").focus()
    for _ in range(2):  # a button that can do no more gives the focus away, but not to the page
        page.keyboard.press("Enter")
    expect(page.locator("[role=option]:focus")).to_have_count(1)
    page.keyboard.press("Control+y")
    page.keyboard.press("Control+y")
    expect(rows(page)).to_have_count(4)
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
    other = explore(page.url.rsplit("/", 1)[1])
    page.bring_to_front()  # one behind is slow to answer
    rows(page).nth(2).click()
    page.keyboard.press("r")
    page.locator("#parts-name").fill("A <b>wheel</b>")
    page.keyboard.press("Enter")
    expect(rows(page).nth(2).locator(".part-name")).to_have_text("A <b>wheel</b>")
    expect(rows(page).nth(2)).to_be_focused()
    button(page, "Save as a new version").click()
    expect(page.get_by_text("Saved as version 2", exact=True)).to_be_visible()
    other.bring_to_front()
    drag(other, 6)
    let_go(other)
    button(other, "Save as a new version").click()
    expect(other.get_by_text("The parts are at version 2, not 1.").first).to_be_visible()
    expect(rows(other)).to_have_count(6)
    button(other, "Save mine as the next").click()
    expect(other.get_by_text("Saved as version 3", exact=True)).to_be_visible()
    third = saved_parts(page, parts_server)
    assert third["patch_parts"] == read_division(TREE).with_count(6).patch_parts
    assert saved_parts(page, parts_server, 2)["parts"][2]["name"] == "A <b>wheel</b>"
    page.bring_to_front()
    button(page, "Undo").click()
    button(page, "Save as a new version").click()
    button(page, "Load the newest version").click()
    expect(rows(page)).to_have_count(6)
    expect(page.get_by_text("Version 3", exact=True)).to_be_visible()
    expect(button(page, "Load the newest version")).to_be_hidden()


def test_an_edit_while_saving_is_not_lost(explore, parts_server):
    page, held = explore(), []
    page.route("**/parts", lambda route: held.append(route))
    drag(page, 6)
    let_go(page)
    button(page, "Save as a new version").click()
    drag(page, 7)
    let_go(page)
    held[0].continue_()
    expect(page.get_by_text("Version 2, 1 change not saved")).to_be_visible()
    expect(rows(page)).to_have_count(7)
    page.unroute("**/parts")
    button(page, "Save as a new version").click()
    expect(page.get_by_text("Saved as version 3", exact=True)).to_be_visible()
    assert saved_parts(page, parts_server)["granularity"]["count"] == 7


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
    page.unroute("**/api/v1/jobs")
    ids = np.array(read_division(TREE).with_count(6).patch_parts)[PATCHES[FACES[:, 0]]]
    assert ids.astype("<i4").tobytes() in sent[0]
    assert b"complete_parts" in sent[0]


def test_the_page_divides_as_the_server_does(explore):
    rng, document = random.Random(5), made_tree(40, seed=5, bodies=2, suggested=9)
    division, edits, expected = read_division(document), [], []
    for _ in range(120):
        able = [index for index, patches in enumerate(division.parts) if len(patches) > 1]
        kind = rng.randrange(5)
        if kind == 4:
            edits.append({"part": rng.sample(range(40), rng.randint(2, 12))})
            division = division.taken(edits[-1]["part"])
        elif kind == 0:
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
