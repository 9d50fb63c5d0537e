"""Colouring a mesh, and the model of a job anew, in a real browser.

The weights of the network are tiny and random, so that its texture is noise: only the way to it is
tested.
"""

from __future__ import annotations

import re
import time

import pytest
import requests
from playwright.sync_api import expect

from backend.meshes.source_glb import write_source_mesh
from tests.browser.test_generate_page import SMALL
from tests.meshes.glb_check import CheckedGlb
from tests.pipelines.test_texture_mesh import lamp, picture_of

MODEL = "hunyuan3d-paint-2.1"


@pytest.fixture(scope="module")
def server(networks):
    """A server with a network that paints; without a GPU auto takes none."""
    wait_until(networks, lambda models: models["looked_at"] is not None)
    return networks


def wait_until(server, holds):
    """Wait for what the worker says of the models."""
    deadline_s = time.monotonic() + 60
    while not holds(requests.get(f"{server.url}/api/v1/models", timeout=10).json()):
        assert time.monotonic() < deadline_s, "the worker says something else"
        time.sleep(0.2)


def done(page):
    page.wait_for_url("**/jobs/*")
    live = page.locator("#job-live")
    expect(live).to_have_attribute("data-status", "succeeded", timeout=90_000)


def done_without_javascript(page, server) -> dict:
    """Wait for the job of a page that does not live; returns it."""
    page.wait_for_url("**/jobs/*")
    job = f"{server.url}/api/v1{page.url.removeprefix(server.url)}"
    deadline_s = time.monotonic() + 90
    while (found := page.request.get(job).json())["status"] != "succeeded":
        assert found["status"] in ("queued", "running"), f"{found['error']}\n{server.told()}"
        assert time.monotonic() < deadline_s, "it takes too long"
        page.wait_for_timeout(300)
    page.reload()
    return found


def is_textured(page) -> bool:
    return page.evaluate(
        """() => document.querySelector("model-viewer").model.materials
          .some((one) => one.pbrMetallicRoughness.baseColorTexture.texture !== null)"""
    )


def test_a_mesh_is_coloured_shown_and_coloured_again(server, new_page, tmp_path):
    write_source_mesh(lamp(), tmp_path / "lamp.glb")
    picture_of(lamp(), side=128).save(tmp_path / "front.png")
    page = new_page(server, viewport=SMALL)
    page.goto("/")
    form = page.locator("#texture-form")
    expect(form.locator("#texture-network")).to_be_hidden()
    form.locator("#texture-file").set_input_files(tmp_path / "lamp.glb")
    form.get_by_label("Picture of its front").set_input_files(tmp_path / "front.png")
    form.get_by_label("Quality").select_option("draft")
    form.get_by_role("button", name="Colour it").click()
    done(page)
    expect(page.locator("#viewer")).to_have_attribute("data-ready", "true")
    expect(page.get_by_role("heading", name="The texture", exact=True)).to_be_visible()
    expect(page.get_by_text("Outlines agree")).to_be_visible()

    maps = page.locator(".maps img")
    expect(maps).to_have_count(2)
    maps.first.scroll_into_view_if_needed()
    expect(maps.first).to_have_js_property("naturalWidth", 256)
    assert is_textured(page)
    page.get_by_role("button", name="Geometry").click()
    expect(page.locator("#show-geometry")).to_have_attribute("aria-pressed", "true")
    assert not is_textured(page)
    view = page.locator("model-viewer")
    expect(view).to_have_attribute("exposure", re.compile(r"^0\.[3-7]"))
    page.get_by_role("button", name="Appearance").click()
    assert is_textured(page)
    expect(view).to_have_attribute("exposure", "1")

    first = page.url
    page.locator("#texture-again summary").first.click()
    again = page.locator("#again-form")
    again.get_by_label("Sides that no picture shows").select_option("plain")
    again.get_by_role("button", name="Make this texture").click()
    page.wait_for_url(lambda url: url != first)
    done(page)
    expect(page.get_by_text("the colours around, spread out")).to_be_visible()
    page.set_viewport_size({"width": 360, "height": 800})
    page.locator("#texture-again summary").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_tiny_weights_paint_colour_metal_and_roughness_without_javascript(
    server, new_page, tmp_path
):
    write_source_mesh(lamp(), tmp_path / "lamp.glb")
    picture_of(lamp(), side=128).save(tmp_path / "front.png")
    page = new_page(server)
    page.goto("/")
    form = page.locator("#texture-form")
    engine = form.locator("#texture-p-engine")
    expect(engine).to_have_accessible_description(re.compile("has not been accepted"))
    accept = f"{server.url}/api/v1/models/{MODEL}/accept"
    assert requests.post(accept, json={"accept": True}, timeout=30).ok
    wait_until(server, lambda models: models["texture_unavailable"] is None)
    page.reload()
    expect(form.locator("#texture-network")).to_be_visible()
    engine.select_option("projection")
    expect(form.locator("#texture-network")).to_be_hidden()

    # a picture of the running job may have moved by the time that it is asked for
    page = new_page(server, java_script_enabled=False, expect_errors=True)
    page.goto("/")
    form = page.locator("#texture-form")
    form.locator("#texture-file").set_input_files(tmp_path / "lamp.glb")
    form.locator("#texture-image").set_input_files(tmp_path / "front.png")
    form.locator("#texture-p-preset").select_option("draft")
    form.locator("#texture-network summary").click()
    form.locator("#texture-p-texture_model").select_option(MODEL)
    form.locator("#texture-p-texture_steps").fill("1")
    form.locator("#texture-p-view_px").fill("256")
    form.locator("#texture-submit").click()
    job = done_without_javascript(page, server)
    assert job["engine"]["texture"] == "hunyuan3d_paint", "since its model was named"
    expect(page.locator(".maps img")).to_have_count(4)
    facts = page.locator("section[aria-labelledby=texture-facts-title]")
    expect(facts).to_contain_text("6, 256 px each")
    expect(facts).to_contain_text(MODEL)
    (model,) = (one for one in job["outputs"] if one["role"] == "model")
    (tmp_path / "model.glb").write_bytes(page.request.get(server.url + model["url"]).body())
    glb = CheckedGlb(tmp_path / "model.glb")
    assert glb.map_of("baseColorTexture").shape == (512, 512, 3)
    assert glb.map_of("metallicRoughnessTexture").shape == (512, 512, 3)

    first = page.url
    page.locator("#texture-again summary").first.click()
    page.locator("#again-p-engine").select_option("projection")
    page.locator("#again-submit").click()
    page.wait_for_url(lambda url: url != first)
    expect(page.locator("#job-live")).to_be_visible()
