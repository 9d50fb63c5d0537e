"""What a stranger tries on the page of parts."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.parts.explorer_page import button, drag, let_go, rows, saved_parts, told


def name(page, text):
    page.locator("#parts-name").fill(text)
    page.locator("#parts-name").press("Enter")


def test_a_name_goes_to_the_part_it_was_asked_for(explore):
    page = explore()
    rows(page).nth(2).click()
    page.keyboard.press("r")
    rows(page).nth(1).click()
    name(page, "wheel")
    expect(rows(page).locator(".part-name")).to_have_text(
        ["part_00", "part_01", "wheel", "part_03"]
    )
    rows(page).nth(3).click()
    page.keyboard.press("r")
    drag(page, 2)
    let_go(page)
    name(page, "lid")
    expect(told(page)).to_have_text("that part is no longer there")
    expect(page.locator("#parts-name")).to_be_hidden()


def test_empty_and_endless_names(explore, parts_server):
    page = explore()
    rows(page).nth(0).click()
    page.keyboard.press("r")
    name(page, "   ")
    expect(button(page, "Undo")).to_be_disabled()  # it had no name of its own
    page.keyboard.press("r")
    name(page, "x" * 500)
    expect(rows(page).nth(0).locator(".part-name")).to_have_text("x" * 80)
    button(page, "Save as a new version").click()
    expect(page.get_by_text("Saved as version 2", exact=True)).to_be_visible()
    assert saved_parts(page, parts_server)["parts"][0]["name"] == "x" * 80
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    rows(page).nth(0).focus()
    page.keyboard.press("r")
    name(page, "")
    expect(rows(page).nth(0).locator(".part-name")).to_have_text("part_00")


def test_everything_merged_into_one_comes_apart_after_a_reload(explore):
    page = explore()
    rows(page).nth(0).focus()
    page.keyboard.press("Control+a")
    page.keyboard.press("m")
    expect(rows(page)).to_have_count(1)
    page.keyboard.press("Control+s")
    expect(page.get_by_text("Saved as version 2", exact=True)).to_be_visible()
    page.reload()
    expect(rows(page)).to_have_count(1)
    button(page, "Undo").click()
    expect(rows(page)).to_have_count(4)


def test_a_key_that_can_do_nothing_says_why(explore):
    page = explore()
    rows(page).nth(0).focus()
    for key, why in (
        ("m", "choose two parts or more to merge them"),
        ("s", "choose one part to split it"),
        ("h", "choose a part first"),
        ("Control+z", "there is nothing to undo"),
        ("Control+s", "there is nothing to save"),
    ):
        page.keyboard.press(key)
        expect(told(page)).to_have_text(why)
    drag(page, 8)
    let_go(page)
    rows(page).nth(0).click()
    page.keyboard.press("s")
    expect(told(page)).to_have_text("part_00 is a single patch and cannot be split")
    expect(button(page, "Split")).to_have_attribute("title", told(page).text_content())


@pytest.mark.parametrize(("typed", "count"), [("-3", 1), ("1e9", 8), ("2.5", 3), ("", 4)])
def test_a_number_of_parts_that_there_is_not(explore, typed, count):
    page = explore()
    field = page.get_by_label("Number of parts, exactly")
    field.fill(typed)
    field.press("Enter")
    expect(rows(page)).to_have_count(count)
    expect(field).to_have_value(str(count))


def test_what_the_server_refuses_is_told_with_what_to_do(explore, tabs):
    page = explore()
    drag(page, 3)
    let_go(page)
    problem = {"title": "The form has expired", "detail": "The form has expired", "status": 403}
    problem["advice"] = "Reload the page and send the form again."
    page.route("**/parts", lambda route: route.fulfill(status=403, json=problem))
    button(page, "Save as a new version").click()
    expect(page.locator("[data-the=troubleText]")).to_have_text(
        "The form has expired. Reload the page and send the form again."
    )
    page.unroute("**/parts")
    button(page, "Save as a new version").click()
    expect(page.get_by_text("Saved as version 2", exact=True)).to_be_visible()
    expect(page.locator("[data-the=troubleText]")).to_be_hidden()
    assert all("403" in text for text in tabs.complaints)
    tabs.complaints.clear()
