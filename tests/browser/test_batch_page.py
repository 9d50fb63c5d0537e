"""The pages of batches in a browser: a folder is sent, watched, and what failed is run again."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.test_appearance import violations
from tests.conftest import draw_figure, png_bytes

LIVE = "#batch-live"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two pictures with transparency, one without, and what is no picture."""
    made = tmp_path_factory.mktemp("dolls")
    for name, transparent in (("a 1.png", True), ("a 2.png", False), ("a 10.png", True)):
        (made / name).write_bytes(png_bytes(draw_figure(96, transparent=transparent)))
    (made / "deep").mkdir()
    (made / "deep" / "notes.png").write_text("hello")
    (made / ".DS_Store").write_text("clutter")
    return made


def fill(page, folder):
    page.goto("/batches/new")
    page.set_input_files("#folder", folder)
    expect(page.locator("#chosen-title")).to_contain_text("3 pictures")


def test_folder_becomes_a_batch_and_what_failed_runs_again(server, new_page, folder):
    page = new_page(server)
    fill(page, folder)
    expect(page.locator(".file-name")).to_have_text(
        [f"{folder.name}/a {n}.png" for n in (1, 2, 10)]
    )
    expect(page.locator("#unfit-title")).to_have_text("1 file cannot be used and will not be sent")
    page.check("input[name=preset][value=draft]", force=True)
    page.get_by_text("Object", exact=True).click()
    page.select_option("#p-background", "alpha")  # so that the opaque picture fails in its job
    page.click("#submit")
    page.wait_for_url(re.compile(r"/batches/\w{26}$"))
    page.evaluate("window.sameDocument = true")
    expect(page.locator("h1")).to_have_text(folder.name)
    expect(page.locator(LIVE)).to_have_attribute("data-status", "finished", timeout=60_000)
    expect(page.locator("#batch-poll")).to_have_count(0)
    expect(page.locator("#batch-items [data-status=succeeded] img")).to_have_count(2)
    assert violations(page) == []
    failed = page.locator("#item-1[data-status=failed]")
    failed.locator("summary").click()
    expect(failed).to_contain_text("The picture has no transparency.")
    before = failed.locator(".tile-name").get_attribute("href")
    page.click("#batch-retry")
    expect(page.locator("#item-1 .tile-name")).not_to_have_attribute("href", before)
    expect(page.locator("#item-1")).to_have_attribute("data-status", "failed", timeout=60_000)
    expect(page.locator("#batch-retry")).to_be_visible()
    assert page.evaluate("window.sameDocument") is True, "nothing of it took a reload"
    page.locator("#show-failed").click()
    expect(page.locator("#batch-items .tile")).to_have_count(1)
    page.goto(f"{server.url}{page.locator('#batch-items .tile-name').get_attribute('href')}")
    page.click("#its-batch")
    expect(page.locator(LIVE)).to_have_attribute("data-total", "3")


def test_pause_keeps_focus_and_place_and_cancel_asks_first(slow_server, new_page, folder):
    page = new_page(slow_server, viewport={"width": 360, "height": 500}, color_scheme="dark")
    fill(page, folder)
    assert violations(page) == []
    page.check("input[name=preset][value=draft]", force=True)
    page.click("#submit")
    page.wait_for_url(re.compile(r"/batches/\w{26}$"))
    expect(page.locator("#item-0")).to_have_attribute("data-status", "running")
    hold = page.locator("#batch-hold")
    hold.focus()
    assert page.evaluate("scrollY") > 0
    page.keyboard.press("Enter")
    expect(page.locator(LIVE)).to_have_attribute("data-status", "paused")
    expect(hold).to_have_text("Resume")
    expect(page.locator("#item-0")).to_have_attribute("data-status", "succeeded", timeout=40_000)
    expect(hold).to_be_focused()
    expect(hold).to_be_in_viewport()  # what is above may have grown or shrunk meanwhile
    assert page.evaluate("scrollY") > 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert violations(page) == []
    asked = []
    page.once("dialog", lambda dialog: (asked.append(dialog.message), dialog.accept()))
    page.click("#batch-cancel")
    expect(page.locator(LIVE)).to_have_attribute("data-status", "canceled")
    assert len(asked) == 1


def test_a_thousand_files_leave_the_page_awake(server, new_page):
    page = new_page(server)
    page.goto("/batches/new")
    longest_ms = page.evaluate(
        """async () => {
          const head = Uint8Array.from([137, 80, 78, 71, 13, 10, 26, 10]);
          const transfer = new DataTransfer();
          for (let i = 0; i < 1005; i++) {
            const kind = i < 1003 ? head : Uint8Array.from([1, 2, 3]);
            transfer.items.add(new File([kind, new Uint8Array(20_000)], `p${i}.png`));
          }
          let longest = 0;
          let last = performance.now();
          const timer = setInterval(() => {
            const now = performance.now();
            longest = Math.max(longest, now - last);
            last = now;
          }, 5);
          document.body.dispatchEvent(
            new DragEvent("drop", {bubbles: true, cancelable: true, dataTransfer: transfer}));
          const title = document.getElementById("chosen-title");
          while (!title.textContent.startsWith("1003 pictures")) {
            await new Promise((done) => setTimeout(done, 10));
          }
          clearInterval(timer);
          return longest;
        }"""
    )
    assert longest_ms < 1000, "the machine of a test may be busy; a frozen page takes far longer"
    expect(page.locator(".batch-files .file")).to_have_count(20)
    expect(page.locator(".batch-files .more")).to_have_text("and 983 more")
    expect(page.locator("#unfit-title")).to_contain_text("2 files cannot be used")
    expect(page.locator("#form-problem")).to_contain_text("at most 1000 pictures")
    page.click("#submit")
    expect(page.locator("#form-problem")).to_contain_text("Remove 3")
    assert page.url.endswith("/batches/new")
