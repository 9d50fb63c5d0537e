"""One click on the model and the part that the network sees there; the test is the worker."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import expect

from backend.errors import WeightsMissing
from backend.jobs.parts.division import read_division
from backend.jobs.states import JobState
from tests.browser.parts.explorer_page import TREE, button, place_of, rows, saved_parts, told
from tests.web.conftest import wait_for

WAIT_S = 30.0  # for a browser on a machine that does other things
FACTS = {"parts": {"engine": "p3sam", "points": 2000, "geometry": "0" * 64}}


def mask(*patches, iou=0.5, within=False):
    return {"patches": [*patches], "iou": iou, "share": 0.1, "is_within_a_patch": within}


def claimed(server):
    """Take the click that has been sent, or is about to be."""
    return wait_for(lambda: server.service.claims.claim("gpu", "test:1:1"), WAIT_S)[0]


def answer(server, *masks):
    """Answer the click that waits as the worker does; returns what was asked."""
    job = claimed(server)
    document = {"patch": masks[0]["patches"][0], "was_known": True, "masks": [*masks]}
    server.finish(job, {"pick.json": json.dumps(document).encode()})
    return job.params


def test_a_click_shows_the_part_that_the_network_sees_and_keeps_it(explore, parts_server):
    page, server = explore(parts_server.job(FACTS)), parts_server.server
    page.get_by_label("Pick a part").check()
    panel = page.get_by_role("group", name="The picked part")
    expect(panel).to_contain_text("Click a place on the model")
    page.locator("[data-the=explode]").fill("60")
    page.mouse.click(*place_of(page, 1))  # a newer click makes this one void
    expect(told(page)).to_have_text("Asking the network…")
    first = claimed(server)
    page.mouse.click(*place_of(page, 6))
    wait_for(lambda: server.service.store.get(first.id).status is JobState.CANCELING, WAIT_S)
    assert server.service.claims.mark_canceled(first)
    asked = answer(server, mask(5, 6, 7, iou=0.9), mask(6), mask(1, 5, 6, 7))
    assert [asked["x"], asked["y"]] == pytest.approx([6.4, 0.4], abs=0.05)
    assert asked["z"] == pytest.approx(0.8, abs=1e-4), "on its front, wherever it was moved"
    expect(told(page)).to_contain_text("3 sizes")
    sizes = panel.get_by_role("group", name="Size").get_by_role("button")
    expect(sizes).to_have_text(["Small 13 %", "Medium 38 % · best", "Large 50 %"])
    expect(sizes.nth(1)).to_have_attribute("aria-pressed", "true")
    sizes.nth(2).click()
    button(page, "Make it a part").click()
    division = read_division(TREE).taken([1, 5, 6, 7])
    expect(rows(page)).to_have_count(division.count)
    expect(told(page)).to_contain_text(f"is a part now: {division.count} parts")
    expect(page.locator("[role=option][aria-selected=true]")).to_have_count(1)
    button(page, "Save as a new version").click()
    expect(page.get_by_text("Saved as version 2", exact=True)).to_be_visible()
    assert saved_parts(page, parts_server)["patch_parts"] == division.patch_parts


def test_picking_by_keyboard_and_what_goes_wrong_is_told(explore, parts_server):
    page, server = explore(parts_server.job(FACTS)), parts_server.server
    page.locator(".parts-stage").focus()
    page.keyboard.press("p")
    page.keyboard.press("Enter")
    job = claimed(server)
    server.service.artefacts.drop_attempt(job.id, job.attempt)
    assert server.service.claims.fail(job, WeightsMissing("Nothing is there."))
    expect(told(page)).to_contain_text("Nothing is there.")
    page.keyboard.press("Enter")
    answer(server, mask(3, within=True), mask(3), mask(3))
    expect(told(page)).to_contain_text("smaller than a patch")
    page.keyboard.press("Escape")
    expect(button(page, "Make it a part")).to_be_hidden()
    page.keyboard.press("Escape")
    expect(page.get_by_label("Pick a part")).not_to_be_checked()
    expect(told(page)).to_have_text("picking is off")


def test_without_the_network_there_is_nothing_to_switch_on(explore):
    page = explore()
    expect(page.get_by_label("Pick a part")).to_have_count(0)
    page.locator(".parts-stage").focus()
    page.keyboard.press("p")
    expect(page.get_by_role("group", name="The picked part")).to_be_hidden()
