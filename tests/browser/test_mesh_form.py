"""The form that splits a mesh: it shows and sends what its choices heed."""

from __future__ import annotations

from playwright.sync_api import expect

from backend.meshes.source_glb import write_source_mesh
from tests.browser.parts.explorer_page import VIEW
from tests.meshes.source_shapes import three_balls


def test_the_form_shows_and_sends_what_the_chosen_result_heeds(server, new_page, tmp_path):
    write_source_mesh(three_balls(1), tmp_path / "balls.glb")
    page = new_page(server, viewport=VIEW)
    page.goto("/")
    form = page.locator("#mesh-form")
    closing = form.get_by_label("Closed by", exact=True)
    expect(closing).to_be_hidden()
    form.get_by_label("Make").select_option("complete_parts")
    expect(closing).to_be_visible()
    form.get_by_label("Found by").select_option("line_of_sight_parts")
    expect(page.locator("#mesh-network")).to_be_hidden()
    form.get_by_label("Make").select_option("segment_parts")
    form.locator("#mesh-file").set_input_files(tmp_path / "balls.glb")
    sent = page.evaluate("[...new FormData(document.getElementById('mesh-form')).keys()]")
    assert {"file", "engine", "preset", "pipeline", "part_count"} <= set(sent)
    foreign = {"points", "threshold", "completion", "part_steps", "face_ids", "boxes"}
    assert not foreign & set(sent)
    form.get_by_role("button", name="Split into parts").click()
    page.wait_for_url("**/jobs/*")
    expect(page.locator("#job-live")).to_have_attribute("data-status", "succeeded")
    job = page.request.get(f"/api/v1{page.url.removeprefix(server.url)}").json()
    assert job["params"]["engine"] == "line_of_sight_parts"
