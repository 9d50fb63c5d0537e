"""The form that checks and repairs a mesh, and its report, in a real browser."""

from __future__ import annotations

import base64
import io
import json

import trimesh
from playwright.sync_api import expect

from backend.meshes.source_glb import write_source_mesh
from tests.browser.test_generate_page import SMALL
from tests.meshes.globe import globe, without_faces


def test_a_dropped_mesh_is_mended_reduced_and_shown_with_its_report(server, new_page, tmp_path):
    write_source_mesh(without_faces(globe(), 500), tmp_path / "globe.glb")
    page = new_page(server, viewport=SMALL)
    page.goto("/")
    page.evaluate(
        """(data) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File(
            [Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], "globe.glb"));
          document.body.dispatchEvent(new DragEvent(
            "drop", {bubbles: true, cancelable: true, dataTransfer: transfer}));
        }""",
        base64.b64encode((tmp_path / "globe.glb").read_bytes()).decode(),
    )
    expect(page.locator("#mesh-status")).to_have_text("globe.glb is ready.")
    expect(page.locator("#tool-status")).to_have_text("globe.glb is ready.")
    page.get_by_label("Most faces").fill("400")
    page.locator("#tool-form").get_by_label("Format").select_option("stl")
    page.get_by_role("button", name="Check and repair").click()
    page.wait_for_url("**/jobs/*")
    expect(page.locator("#job-live")).to_have_attribute("data-status", "succeeded")
    expect(page.get_by_role("heading", name="Report")).to_be_visible()
    row = page.get_by_role("row", name="Open borders")
    expect(row).to_contain_text("mended")
    expect(page.locator("#viewer")).to_have_attribute("data-ready", "true")
    link = page.get_by_role("link", name="STL").get_attribute("href")
    mended = trimesh.load(io.BytesIO(page.request.get(server.url + link).body()), file_type="stl")
    assert mended.is_watertight
    assert len(mended.faces) <= 400
    told = page.get_by_role("link", name="Report, JSON").get_attribute("href")
    assert json.loads(page.request.get(server.url + told).text())["after"]["is_watertight"]
    page.set_viewport_size({"width": 360, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
