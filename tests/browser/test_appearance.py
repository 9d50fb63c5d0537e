from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.test_generate_page import upload, wait_done

AXE = Path(__file__).parent / "vendor" / "axe-4.14.1.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
PAGES = [
    "/",
    "/gallery",
    "/batches",
    "/batches/new",
    "/models",
    "/docs/api",
    "/docs/problems",
    "/no-such-page",
]


@pytest.fixture(scope="module")
def job_path(server, chromium, picture):
    page = chromium.new_context(base_url=server.url).new_page()
    upload(page, picture)
    wait_done(page)
    path = page.url[page.url.index("/jobs/") :]
    page.context.close()
    return path


def violations(page):
    # axe is put in through the debugger: the page's own policy refuses foreign scripts
    page.evaluate(AXE.read_text())
    found = page.evaluate(
        "rules => axe.run({runOnly: {type: 'tag', values: rules}}).then(r => r.violations)", RULES
    )
    return [(v["id"], [node["html"][:120] for node in v["nodes"]]) for v in found]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_accessibility_violations(server, new_page, job_path, scheme):
    page = new_page(server, color_scheme=scheme, expect_errors=True)  # one page is a 404
    for path in [*PAGES, job_path, job_path.replace("/jobs/", "/cutouts/")]:
        page.goto(path)
        expect(page.locator("#gpu-chip")).to_contain_text("CPU mode")
        assert violations(page) == [], path


@pytest.mark.parametrize("width", [360, 768])
def test_no_sideways_scrolling(server, new_page, job_path, width):
    page = new_page(server, viewport={"width": width, "height": 740}, expect_errors=True)
    for path in [*PAGES, job_path]:
        page.goto(path)
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_pulse_stands_still_when_motion_is_unwanted(server, new_page):
    page = new_page(server, reduced_motion="reduce")
    page.goto("/")
    page.evaluate("document.querySelector('.pulse').classList.add('pulse-busy')")
    name = page.evaluate("getComputedStyle(document.querySelector('.pulse')).animationName")
    assert name == "none"


def test_theme_is_kept(server, new_page):
    page = new_page(server, color_scheme="light")
    page.goto("/")
    page.click("#theme")
    page.click("#theme")
    page.goto("/gallery")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_gallery_selects_searches_and_deletes(server, new_page, picture):
    page = new_page(server)
    upload(page, picture)
    wait_done(page)
    page.fill("#name", "Searched for")
    page.get_by_role("button", name="Rename").click()
    page.goto("/gallery")
    page.fill("#q", "searched")
    page.get_by_role("button", name="Show").click()
    expect(page.locator(".tile-name")).to_have_text(["Searched for"])
    page.check("input[name=job]")
    expect(page.locator("#selected")).to_have_text("1 selected")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete selected").click()
    page.goto("/gallery?q=searched")
    expect(page.get_by_text("Nothing matches")).to_be_visible()
