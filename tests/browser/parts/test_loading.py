"""How the page of parts comes up, and what is left where it cannot."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.parts.explorer_page import FILES, VIEW, button, rows
from tests.browser.test_appearance import violations_by_scheme
from tests.web.test_parts_api import finish


def test_nothing_can_be_pressed_before_the_parts_are_there(tabs, parts_server):
    page, held = tabs.new(), []
    page.route("**/surface.glb*", lambda route: held.append(route))
    page.goto(f"/jobs/{parts_server.job()}")
    expect(page.get_by_text("Loading the model")).to_be_visible()
    assert page.locator("[data-the=side]").evaluate("one => one.inert")
    page.locator(".parts-stage").focus()
    page.keyboard.press("w")
    held[0].continue_()
    expect(page.locator("part-explorer")).to_have_attribute("data-ready", "true")
    assert not page.locator("[data-the=side]").evaluate("one => one.inert")
    assert page.locator("[data-the=wireframe]").is_checked() is False
    page.close()
    assert tabs.complaints == []


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
    page.route("**/parts", lambda route: route.fulfill(status=502, body="<h1>Bad gateway</h1>"))
    button(page, "Save as a new version").click()
    expect(page.get_by_text("The server answered 502").first).to_be_visible()
    expect(button(page, "Save as a new version")).to_be_enabled()
    expect(button(page, "Load the newest version")).to_be_hidden()


def test_files_that_do_not_come_leave_a_table(parts_server, new_page):
    page = new_page(parts_server, expect_errors=True, viewport=VIEW)
    page.route("**/surface.glb*", lambda route: route.fulfill(status=500))
    page.goto(f"/jobs/{parts_server.job()}")
    expect(page.get_by_role("alert")).to_contain_text("The server answered 500")
    expect(page.locator("[data-fallback] tbody tr")).to_have_count(4)
    expect(page.locator(".parts-stage")).to_be_hidden()
    page.unroute("**/surface.glb*")
    page.get_by_role("link", name="Try again").click()
    expect(page.locator("part-explorer")).to_have_attribute("data-ready", "true")


def test_without_javascript_there_is_a_table(parts_server, new_page):
    page = new_page(parts_server, java_script_enabled=False)
    page.goto(f"/jobs/{parts_server.job()}")
    expect(page.locator("[data-fallback] tbody tr")).to_have_count(4)
    expect(page.get_by_text("0.5 m³")).to_be_visible()
    expect(page.get_by_text("Turn on JavaScript to look at the parts")).to_be_visible()


def test_it_is_accessible_and_narrow_screens_do_not_scroll_sideways(parts_server, new_page):
    page = new_page(parts_server, viewport={"width": 360, "height": 740})
    page.goto(f"/jobs/{parts_server.job()}")
    expect(page.locator("part-explorer")).to_have_attribute("data-ready", "true")
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    page.get_by_label("Choose several").check()  # as a finger has no Ctrl key
    for index in (1, 2, 2):
        rows(page).nth(index).click()
    expect(page.locator("[role=option][aria-selected=true]")).to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.keyboard.press("r")
    save = button(page, "Save as a new version")
    assert save.evaluate("one => getComputedStyle(one).backgroundImage") == "none", "it is disabled"
    assert violations_by_scheme(page) == {}
