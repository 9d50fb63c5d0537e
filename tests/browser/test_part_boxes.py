"""Boxes drawn on the page of a job, and the parts that tiny X-Part makes of them.

The weights are tiny and random, so the parts are noise: only the way to them is tested.
"""

from __future__ import annotations

import pytest
import requests
from playwright.sync_api import expect

from backend.meshes.source_glb import write_source_mesh
from tests.browser.parts.explorer_page import VIEW
from tests.browser.sent_jobs import made
from tests.meshes.source_shapes import three_balls

QUICK = {"preset": "draft", "part_steps": "2", "part_cells": "64", "completion": "cap_parts"}


@pytest.fixture(scope="module")
def server(networks):
    accept = f"{networks.url}/api/v1/models/x-part/accept"
    requests.post(accept, json={"accept": True}, timeout=60).raise_for_status()
    return networks


def test_boxes_that_were_drawn_become_parts_that_a_network_made(server, new_page, tmp_path):
    write_source_mesh(three_balls(1), tmp_path / "balls.glb")
    wanted = QUICK | {"pipeline": "complete_parts", "seed": "5"}
    first = made(server, tmp_path / "balls.glb", **wanted)
    page = new_page(server, viewport=VIEW)
    page.goto(first)
    explorer = page.locator("part-explorer")
    expect(explorer).to_have_attribute("data-ready", "true")
    page.get_by_label("Edit boxes").check()
    boxes = page.get_by_role("listbox", name="Boxes").get_by_role("option")
    expect(boxes).to_have_count(3)
    boxes.nth(2).click()
    page.get_by_role("button", name="Delete box").click()
    boxes.nth(1).click()
    handle = page.get_by_role("slider", name="part_01: highest x")
    handle.press("Shift+ArrowRight")
    drawn = page.evaluate("document.querySelector('part-explorer').drawing.set.toDocument()")
    assert drawn[1][1][0] == pytest.approx(3.0, abs=1e-5), "a tenth of 5 further than 2.5"
    page.get_by_role("button", name="Complete these boxes").click()
    page.wait_for_url(lambda url: not url.endswith(first))
    done = expect(page.locator("#job-live"))
    done.to_have_attribute("data-status", "succeeded", timeout=90_000)  # torch is imported first
    job = page.request.get(f"/api/v1{page.url.removeprefix(server.url)}").json()
    assert (job["engine"]["completion"], job["params"]["seed"]) == ("xpart", 5)
    assert [job["params"][name] for name in ("part_steps", "part_cells")] == [2, 64]
    assert job["facts"]["parts"]["count"] == 3, "faces in no box are the last part"
    given = page.request.get(f"{page.url.removeprefix(server.url)}/boxes.json").json()
    assert given == drawn
    page.get_by_label("Edit boxes").check()
    expect(boxes).to_have_count(2)
