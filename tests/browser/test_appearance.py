from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.sent_jobs import made

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
def job_path(server, picture):
    return made(server, picture)


def violations(page):
    # axe is put in through the debugger: the page's own policy refuses foreign scripts
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text())
    found = page.evaluate(
        """rules => axe.run({runOnly: {type: "tag", values: rules}, resultTypes: ["violations"]})
          .then((results) => results.violations)""",
        RULES,
    )
    return [(v["id"], [node["html"][:120] for node in v["nodes"]]) for v in found]


def violations_by_scheme(page):
    """What is wrong in light colours, and what in dark ones."""
    found = {}
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate("s => matchMedia(`(prefers-color-scheme: ${s})`).matches", scheme)
        found |= {(scheme, rule): nodes for rule, nodes in violations(page)}
    return found


def test_no_accessibility_violations(server, new_page, job_path):
    page = new_page(server, expect_errors=True)  # one page is a 404
    for path in [*PAGES, job_path, job_path.replace("/jobs/", "/cutouts/")]:
        page.goto(path)
        expect(page.locator("#gpu-chip")).to_contain_text("CPU mode")
        assert violations_by_scheme(page) == {}, path


@pytest.mark.parametrize("width", [360, 768])
def test_no_sideways_scrolling(server, new_page, job_path, width):
    small = {"width": width, "height": 740}
    page = new_page(server, draws=False, viewport=small, expect_errors=True)
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
    page = new_page(server, draws=False)
    page.goto(made(server, picture, texture="false"))
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


def test_gallery_counts_what_was_ticked_before_its_script_came(server, new_page, picture):
    page = new_page(server, draws=False)
    made(server, picture, texture="false")
    held = []
    page.route("**/gallery*.js*", lambda route: held.append(route))
    page.goto("/gallery", wait_until="commit")
    page.locator("input[name=job]").first.check()
    for route in held:
        route.continue_()
    expect(page.locator("#selected")).to_have_text("1 selected")
