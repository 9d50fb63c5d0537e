"""The fields for pictures from other sides, with JavaScript."""

from __future__ import annotations

import base64

from playwright.sync_api import expect

DROP = """
([selector, base64, type]) => {
  const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bytes], "dropped", { type }));
  const options = { dataTransfer, bubbles: true, cancelable: true };
  document.querySelector(selector).dispatchEvent(new DragEvent("drop", options));
}
"""


def drop(page, side, data, type_="image/png"):
    page.evaluate(DROP, [f"[data-view={side}]", base64.b64encode(data).decode(), type_])


def test_views_are_shown_removed_and_sent(server, new_page, picture):
    page = new_page(server, draws=False)
    page.goto("/")
    page.click("#more-views summary")
    left, back, right = (page.locator(f"[data-view={side}]") for side in ("left", "back", "right"))
    drop(page, "left", picture.read_bytes())
    expect(left.locator("img")).to_be_visible()
    expect(page.locator("#files .file")).to_have_count(0)  # it is no front picture
    page.set_input_files("#view-back", picture)
    expect(back.locator("img")).to_be_visible()
    back.get_by_role("button", name="Remove").click()
    expect(back.locator("img")).to_be_hidden()
    drop(page, "right", b"hello", "text/plain")
    expect(right.get_by_role("status")).to_contain_text("Save it as PNG")
    expect(right.locator("img")).to_be_hidden()
    page.set_input_files("#file", picture)
    page.check("input[name=preset][value=draft]", force=True)
    page.click("#submit")
    page.wait_for_url("**/jobs/*")
    found = {
        side: page.request.get(f"{page.url}/views/{side}").status
        for side in ("left", "back", "right")
    }
    assert found == {"left": 200, "back": 404, "right": 404}


def test_views_beside_several_pictures_are_explained(server, new_page, picture, tmp_path):
    other = tmp_path / "other.png"
    other.write_bytes(picture.read_bytes() + b"\0")  # another file with the same picture
    page = new_page(server)
    page.goto("/")
    page.click("#more-views summary")
    page.set_input_files("#view-left", picture)
    page.set_input_files("#file", [picture, other])
    expect(page.locator("#files .file")).to_have_count(2)
    page.click("#submit")
    expect(page.locator("#form-problem")).to_contain_text("More views belong to one picture")
    assert page.url == f"{server.url}/"
