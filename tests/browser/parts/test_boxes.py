"""Boxes around parts, drawn with pointer and keys; a worker completes some elsewhere."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.parts.explorer_page import VIEW, button, told
from tests.browser.test_appearance import violations_by_scheme

STATE = "document.querySelector('part-explorer').drawing.set.toDocument()"


def boxes(page):
    return page.get_by_role("listbox", name="Boxes").get_by_role("option")


def number(page, axis, end):
    return page.get_by_label(f"{axis}, {end}", exact=True)


def edit_boxes(page):
    page.get_by_label("Edit boxes").check()
    expect(boxes(page)).to_have_count(4)


def drag(page, handle, right, down):
    box = handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + right / 2, y + down / 2)
    page.mouse.move(x + right, y + down)
    page.mouse.up()


def test_a_side_follows_the_pointer_and_can_be_undone(explore):
    page = explore()
    edit_boxes(page)
    expect(page.get_by_role("listbox", name="Parts")).to_be_hidden()
    boxes(page).nth(0).click()
    before = page.evaluate(STATE)
    handle = page.get_by_role("slider", name="part_00: highest x")
    drag(page, handle, 40, 0)
    after = page.evaluate(STATE)
    assert after[0][1][0] > before[0][1][0] + 0.1
    changed = [after[0][0], after[0][1][1:], after[1:]]
    assert changed == [before[0][0], before[0][1][1:], before[1:]], "nothing else has moved"
    assert float(handle.get_attribute("aria-valuenow")) == pytest.approx(after[0][1][0], rel=1e-3)
    drag(page, page.get_by_role("button", name="Move part_00"), 0, -30)
    moved = page.evaluate(STATE)
    sizes = [[b - a for a, b in zip(*box[0], strict=True)] for box in (after, moved)]
    assert sizes[1] == pytest.approx(sizes[0])
    assert moved[0][0][1] > after[0][0][1]
    page.keyboard.press("Control+z")
    assert page.evaluate(STATE) == after
    button(page, "Undo the last change of boxes").click()
    assert page.evaluate(STATE) == before
    button(page, "Redo the last change of boxes").click()
    assert page.evaluate(STATE) == after


def test_a_box_is_added_typed_deleted_and_what_makes_no_sense_is_told(explore):
    page = explore()
    edit_boxes(page)
    page.locator(".parts-stage").focus()
    page.keyboard.press("n")
    expect(told(page)).to_contain_text("box_4 added")
    assert number(page, "x", "middle").input_value() == "3.9", "of a row from 0 to 7.8"
    assert page.evaluate(STATE)[4][1][0] == pytest.approx(3.9 + 7.8 / 6, abs=1e-5)
    send = button(page, "Complete these boxes")
    expect(send).to_be_enabled()
    for axis, end, value, problem in (
        ("y", "middle", "5", "outside of the mesh"),
        ("x", "lowest", "99", "lowest x is above its highest"),
    ):
        number(page, axis, end).fill(value)
        number(page, axis, end).press("Enter")
        expect(page.locator("[data-the=boxWrong]")).to_contain_text(problem)
        expect(send).to_be_disabled()
        page.keyboard.press("Tab")
        button(page, "Undo the last change of boxes").click()
    before = page.evaluate(STATE)
    for rubbish in ("", "1e38"):
        number(page, "y", "lowest").fill(rubbish)
        number(page, "y", "lowest").press("Enter")
        expect(told(page)).to_contain_text("no number for y")
    assert page.evaluate(STATE) == before
    number(page, "y", "lowest").fill("0.3")
    number(page, "y", "highest").fill("0.4")
    number(page, "z", "lowest").fill("0.3")
    number(page, "z", "highest").fill("0.4")
    number(page, "z", "highest").press("Enter")
    expect(page.get_by_text("no point of the mesh lies in it").first).to_be_visible()
    boxes(page).nth(4).click()
    page.keyboard.press("Delete")
    expect(boxes(page)).to_have_count(4)
    expect(send).to_be_enabled()


def test_boxes_outlast_a_reload_and_a_refusal(explore):
    page = explore()
    edit_boxes(page)
    boxes(page).nth(1).click()
    number(page, "z", "highest").fill("2.5")
    number(page, "z", "highest").press("Enter")
    drawn = page.evaluate(STATE)
    page.reload()
    expect(page.locator("part-explorer")).to_have_attribute("data-ready", "true")
    expect(page.get_by_label("Edit boxes")).to_be_checked()
    assert page.evaluate(STATE) == drawn
    refusal = {
        "title": "Invalid parameter", "detail": "Box 2 lies apart from the mesh.", "status": 422,
        "errors": [{"pointer": "/boxes/2", "detail": ""}],
    }  # fmt: skip
    page.route("**/api/v1/jobs", lambda route: route.fulfill(status=200, json=refusal))
    page.route("**/mesh.glb", lambda route: route.fulfill(body=b"glTF"))
    page.evaluate("XMLHttpRequest.prototype.__defineGetter__('status', () => 422)")
    button(page, "Complete these boxes").click()
    expect(page.get_by_role("alert")).to_contain_text("Box 2 lies apart")
    expect(boxes(page).nth(2)).to_have_attribute("aria-selected", "true")
    assert page.evaluate(STATE) == drawn
    button(page, "Start over").click()
    expect(told(page)).to_contain_text("as at the beginning")
    assert page.evaluate(STATE) != drawn
    button(page, "Undo the last change of boxes").click()
    assert page.evaluate(STATE) == drawn
    page.unroute("**/mesh.glb")
    page.unroute("**/api/v1/jobs")


def test_a_click_chooses_the_box_under_it(explore):
    page = explore()
    edit_boxes(page)
    place = page.evaluate(
        """() => {
          const { scene, drawing } = document.querySelector("part-explorer");
          const [low] = drawing.set.toDocument()[0];
          const at = scene.camera.position.clone();
          at.set(low[0] + 0.2, 0.4, 0.8).project(scene.camera);
          const { left, top, width, height } = scene.canvas.getBoundingClientRect();
          return [left + (width * (at.x + 1)) / 2, top + (height * (1 - at.y)) / 2];
        }"""
    )
    page.mouse.click(*place)
    expect(told(page)).to_contain_text("chosen")
    expect(page.locator(".box-handle:visible")).to_have_count(7)
    page.keyboard.press("Escape")
    expect(page.locator(".box-handle:visible")).to_have_count(0)
    page.get_by_label("Edit boxes").uncheck()
    expect(page.get_by_role("listbox", name="Parts")).to_be_visible()


def test_the_panel_is_accessible_and_fits_a_narrow_screen(parts_server, new_page):
    page = new_page(parts_server, viewport={"width": 360, "height": 740})
    page.goto(f"/jobs/{parts_server.job()}")
    expect(page.locator("part-explorer")).to_have_attribute("data-ready", "true")
    edit_boxes(page)
    boxes(page).nth(1).click()
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    # dots that lie close together have fields of the same meaning
    assert [found for found in violations_by_scheme(page) if found[1] != "target-size"] == []


def test_without_webgl_boxes_are_typed(parts_server, new_page):
    page = new_page(parts_server, expect_errors=True, viewport=VIEW)
    page.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
    page.goto(f"/jobs/{parts_server.job()}")
    expect(page.get_by_text("is WebGL switched off?")).to_be_visible()
    edit_boxes(page)
    boxes(page).nth(0).click()
    number(page, "y", "highest").fill("1.5")
    number(page, "y", "highest").press("Enter")
    assert page.evaluate(STATE)[0][1][1] == 1.5
