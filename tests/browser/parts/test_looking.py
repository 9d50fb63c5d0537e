"""Looking at parts: pick, hide, views, downloads of a choice."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import trimesh
from PIL import Image
from playwright.sync_api import expect

from backend.jobs.parts.division import read_division
from tests.browser.parts.explorer_page import (
    BOXES,
    FACES_PER_BOX,
    PATCHES,
    TREE,
    VERTICES,
    button,
    drag,
    place_of,
    rows,
    told,
    wait_for_frames,
)


def test_a_click_on_the_model_chooses_the_part_under_it(explore):
    page = explore()
    part_of = read_division(TREE).patch_parts
    for patch in (0, 5):
        page.mouse.click(*place_of(page, patch))
        expect(told(page)).to_have_text(f"part_{part_of[patch]:02d} chosen")
        expect(page.locator("[role=option][aria-selected=true]")).to_have_count(1)
        expect(rows(page).nth(part_of[patch])).to_have_attribute("aria-selected", "true")
    other = next(patch for patch in range(BOXES) if part_of[patch] != part_of[5])
    page.keyboard.down("Shift")
    page.mouse.click(*place_of(page, other))
    page.keyboard.up("Shift")
    expect(page.locator("[role=option][aria-selected=true]")).to_have_count(2)
    page.mouse.move(*place_of(page, 3))
    expect(rows(page).nth(part_of[3])).to_have_class("part part-pointed")


def test_a_hidden_part_cannot_be_picked_and_isolating_shows_one(explore):
    page = explore()
    part_of = read_division(TREE).patch_parts
    page.mouse.click(*place_of(page, 0))
    expect(told(page)).to_have_text("part_00 chosen")
    button(page, "Hide").click()
    expect(page.locator(".part-hidden")).to_have_count(1)
    page.mouse.click(*place_of(page, 0))
    expect(told(page)).to_have_text("nothing chosen")
    drag(page, 1)
    expect(rows(page).get_by_text("partly hidden")).to_have_count(1)
    drag(page, 4)
    expect(page.locator(".part-hidden")).to_have_count(1)
    rows(page).nth(part_of[5]).click()
    button(page, "Isolate").click()
    expect(page.locator(".part-hidden")).to_have_count(3)
    page.mouse.click(*place_of(page, 5))
    button(page, "Show all").click()
    expect(page.locator(".part-hidden")).to_have_count(0)


def test_it_draws_only_when_something_changes(explore):
    page = explore()
    count, before = "document.querySelector('part-explorer').frames", 0
    while before == 0 or before != page.evaluate(count):  # until the first frames are through
        before = page.evaluate(count)
        page.wait_for_timeout(200)
    assert page.evaluate(count) == before <= 5
    page.locator(".parts-stage").focus()
    wait_for_frames(page, lambda: page.keyboard.press("ArrowRight"))


def test_a_model_that_the_graphics_card_drops_comes_back(explore):
    page = explore()
    context = "document.querySelector('part-explorer').scene.renderer.getContext()"
    page.evaluate(f"window.loss = {context}.getExtension('WEBGL_lose_context'); loss.loseContext()")
    expect(page.locator(".parts-note")).to_contain_text("dropped the model")
    wait_for_frames(page, lambda: page.evaluate("loss.restoreContext()"))
    expect(page.locator(".parts-note")).to_be_hidden()


def test_views_of_the_model_differ(explore):
    page = explore()
    stage = page.locator(".parts-stage canvas")
    pictures = [stage.screenshot()]
    wait_for_frames(page, page.get_by_role("button", name="Appearance", exact=True).last.click)
    pictures.append(stage.screenshot())
    for name in ("Wireframe", "Boxes"):
        wait_for_frames(page, page.get_by_role("checkbox", name=name, exact=True).check)
        pictures.append(stage.screenshot())
    wait_for_frames(page, lambda: page.get_by_label("Explode").fill("100"))
    pictures.append(stage.screenshot())
    assert len(set(pictures)) == 5
    orange = np.asarray(Image.open(io.BytesIO(pictures[1])).convert("RGB")).astype(int)
    assert ((orange[..., 0] - orange[..., 2]) > 60).mean() > 0.02, "the texture is seen"


def test_chosen_parts_are_downloaded(explore, tmp_path):
    page = explore()
    patches = read_division(TREE).parts
    rows(page).nth(0).click()
    rows(page).nth(3).click(modifiers=["Control"])
    with page.expect_download() as found:
        button(page, "Download GLB").click()
    assert found.value.suggested_filename == "row-parts.glb"
    found.value.save_as(tmp_path / "chosen.glb")
    scene = trimesh.load(tmp_path / "chosen.glb")
    assert set(scene.graph.nodes_geometry) == {"part_00", "part_03"}
    for index in (0, 3):
        mesh = scene.geometry[f"part_{index:02d}"]
        assert len(mesh.faces) == FACES_PER_BOX * len(patches[index])
        wanted = np.isin(PATCHES, patches[index])
        assert np.allclose(mesh.bounds, [VERTICES[wanted].min(0), VERTICES[wanted].max(0)])
        assert mesh.visual.material.baseColorTexture.getpixel((0, 0))[:3] == (200, 120, 40)
    with page.expect_download() as found:
        button(page, "Download STL").click()
    found.value.save_as(tmp_path / "chosen.stl")
    data = (tmp_path / "chosen.stl").read_bytes()
    count = FACES_PER_BOX * (len(patches[0]) + len(patches[3]))
    assert struct.unpack_from("<I", data, 80)[0] == count
    solid = trimesh.load(io.BytesIO(data), file_type="stl")
    assert len(solid.faces) == count
    assert solid.volume == pytest.approx(0.8**3 * (len(patches[0]) + len(patches[3])), rel=1e-4)
