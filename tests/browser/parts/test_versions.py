"""The versions of the parts on their page: opening an older one, and going on from it."""

from __future__ import annotations

import numpy as np
import pytest
from playwright.sync_api import expect

from backend.jobs.parts.division import read_division
from tests.browser.parts.explorer_page import (
    FACES,
    PATCHES,
    TREE,
    button,
    drag,
    let_go,
    rows,
    saved_parts,
    told,
)
from tests.browser.test_appearance import violations

FIRST = read_division(TREE)


@pytest.fixture
def edited(parts_server):
    """A job with three versions: 4 parts as it made them, then 6, then 5 after a merge."""
    job = parts_server.job()
    for edit in ({"count": 6}, {"merge": [0, 1]}):
        answer = parts_server.server.client.patch(
            f"/api/v1/jobs/{job}/parts", json=edit, headers={"If-Match": "*"}
        )
        assert answer.status_code == 200
    return job


def chooser(page):
    return page.get_by_label("Version", exact=True)


def line(page):
    return page.locator("#parts-version-line")


def trouble(page):
    return page.locator("[data-the=troubleText]")


def notes(page):
    texts = page.locator("#parts-version option").all_text_contents()
    return [text.split(" · ")[0::2] for text in texts]


def test_a_single_version_is_no_choice(explore):
    page = explore()
    expect(line(page)).to_have_text("Version 1")
    expect(chooser(page)).to_be_hidden()


def test_an_older_version_is_opened_by_keyboard_and_gone_on_from(explore, edited, parts_server):
    page = explore(edited)
    expect(chooser(page)).to_have_value("3")
    assert notes(page) == [["3", "5 parts"], ["2", "6 parts"], ["1", "4 parts"]]
    chooser(page).focus()
    page.keyboard.press("ArrowDown")
    expect(line(page)).to_have_text("Version 2 of 3. Saving makes it version 4.")
    expect(told(page)).to_have_text("version 2 opened: 6 parts")
    expect(rows(page)).to_have_count(6)
    expect(chooser(page)).to_be_focused()
    page.keyboard.press("h")  # letters belong to the list of versions while it has the focus
    assert not page.evaluate("document.querySelector('part-explorer').unseen.some(Boolean)")
    drag(page, 7)
    let_go(page)
    expect(line(page)).to_have_text(
        "Version 2 of 3, 1 change not saved. Saving makes it version 4."
    )
    button(page, "Save as a new version").click()
    expect(page.get_by_text("Saved as version 4", exact=True)).to_be_visible()
    expect(chooser(page)).to_have_value("4")
    saved = saved_parts(page, parts_server)
    assert saved["patch_parts"] == FIRST.with_count(7).patch_parts
    assert saved_parts(page, parts_server, 3)["granularity"]["count"] == 5, "none is overwritten"
    expect(page.locator("#parts-version option").first).to_contain_text("1 undone, number of parts")


def test_changes_that_are_not_saved_are_not_lost(explore, edited):
    page = explore(edited)
    drag(page, 3)
    let_go(page)
    chooser(page).select_option("1")
    expect(trouble(page)).to_have_text("1 change is not saved. Open version 1 all the same?")
    expect(chooser(page)).to_have_value("3")
    assert violations(page) == []
    button(page, "Stay here").click()
    expect(rows(page)).to_have_count(3)
    expect(button(page, "Stay here")).to_be_hidden()
    chooser(page).select_option("1")
    button(page, "Leave my changes and open it").click()
    expect(rows(page)).to_have_count(4)
    expect(line(page)).to_have_text("Version 1 of 3. Saving makes it version 4.")
    assert page.locator("[role=option]:focus").count() == 1, "the button that was pressed is gone"


def test_parts_of_an_older_version_are_sent_to_be_closed(explore, edited):
    page, sent = explore(edited), []
    chooser(page).select_option("2")
    expect(rows(page)).to_have_count(6)

    def take(route):
        sent.append(route.request.post_data_buffer)
        route.fulfill(status=202, json={"links": {"page": "/gallery"}})

    page.route("**/api/v1/jobs", take)
    button(page, "Close these parts").click()
    page.wait_for_url("**/gallery")
    page.unroute("**/api/v1/jobs")
    ids = np.array(FIRST.with_count(6).patch_parts)[PATCHES[FACES[:, 0]]]
    assert ids.astype("<i4").tobytes() in sent[0]


def test_an_older_version_and_somebody_elses_save(explore, edited, parts_server):
    page = explore(edited)
    chooser(page).select_option("1")
    expect(rows(page)).to_have_count(4)
    parts_server.server.client.patch(
        f"/api/v1/jobs/{edited}/parts", json={"count": 8}, headers={"If-Match": "*"}
    )
    button(page, "Save as a new version").click()
    expect(trouble(page)).to_contain_text("The parts are at version 4, not 3.")
    button(page, "Save mine as the next").click()
    expect(page.get_by_text("Saved as version 5", exact=True)).to_be_visible()
    assert saved_parts(page, parts_server)["patch_parts"] == FIRST.patch_parts
    expect(chooser(page).locator("option")).to_have_count(5)


def test_a_job_that_was_deleted_meanwhile_is_told_in_words(explore, edited, parts_server, tabs):
    page = explore(edited)
    drag(page, 3)
    let_go(page)
    parts_server.server.client.delete(f"/api/v1/jobs/{edited}")
    button(page, "Save as a new version").click()
    expect(trouble(page)).to_contain_text("The job or its files were deleted")
    expect(rows(page)).to_have_count(3)
    with page.expect_download():
        button(page, "Download GLB").click()
    chooser(page).select_option("2")
    button(page, "Leave my changes and open it").click()
    expect(trouble(page)).to_have_text(
        "Version 2 could not be opened. The server no longer has it."
    )
    gone = [text for text in tabs.complaints if "404 (NOT FOUND)" in text]
    assert gone == tabs.complaints
    tabs.complaints.clear()
