"""From weights on the disk to a model in the viewer, with a licence accepted on the way.

The weights are tiny and random, so the shape is noise: only the way to it is tested.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import requests
from playwright.sync_api import expect

from tests.browser.sent_jobs import ended, send
from tests.browser.test_generate_page import SMALL, wait_done, without_texture

REPO = Path(__file__).parents[2]


def test_from_a_licence_to_a_model_that_a_network_made(networks, new_page, picture):
    page = new_page(networks, viewport=SMALL)
    page.goto("/models")
    card = page.locator("#model-hunyuan3d-2\\.0")
    expect(card).to_have_attribute("data-state", "licence_needed")
    expect(page.locator("#model-hunyuan3d-2\\.1")).to_contain_text("models pull hunyuan3d-2.1")
    form = page.locator("form[action='/models/hunyuan3d-2.0/accept']")
    form.get_by_role("checkbox").check()
    form.get_by_role("button").click()
    expect(page.locator("#licence-recorded")).to_be_visible()
    expect(card).to_have_attribute("data-state", "ready")
    page.goto("/")
    page.set_input_files("#file", picture)
    page.check("input[name=preset][value=draft]", force=True)
    without_texture(page)
    page.get_by_text("Shape", exact=True).click()
    expect(page.locator("#p-model option[value='hunyuan3d-2.1']")).to_be_disabled()
    page.select_option("#p-engine", "hunyuan3d")
    page.select_option("#p-model", "hunyuan3d-2.0")
    page.fill("#p-steps", "2")
    page.fill("#p-grid_resolution", "48")
    page.click("#submit")
    page.wait_for_url("**/jobs/*")
    done = expect(page.locator("#job-live"))
    done.to_have_attribute("data-status", "succeeded", timeout=90_000)  # torch is imported first
    expect(page.locator("#viewer")).to_have_attribute("data-ready", "true")
    facts = page.locator("section[aria-labelledby=facts-title]")
    expect(facts).to_contain_text("hunyuan3d-2.0")
    expect(facts).to_contain_text("2 from noise to shape")
    expect(facts).to_contain_text("48 cells a side")


def test_a_script_checks_the_files_and_downloads_a_mesh_of_theirs(networks, weights, picture):
    verify = [sys.executable, "-m", "backend", "models", "verify", "hunyuan3d-2.0"]
    here = {"MESHKILN_MODEL_PATH": str(weights), "MESHKILN_DATA_DIR": str(networks.data_dir)}
    subprocess.run(verify, cwd=REPO, check=True, env=os.environ | here)
    accept = f"{networks.url}/api/v1/models/hunyuan3d-2.0/accept"
    requests.post(accept, json={"accept": True}, timeout=60).raise_for_status()
    form = {"engine": "hunyuan3d", "texture": "false", "seed": "1"}
    form |= {"steps": "2", "grid_resolution": "48", "target_faces": "5000"}
    job = ended(networks, send(networks, picture, **form))
    assert (job["status"], job["facts"]["shape"]["model"]) == ("succeeded", "hunyuan3d-2.0")
    (model,) = (one for one in job["outputs"] if one["name"] == "model.glb")
    mesh = requests.get(f"{networks.url}{model['url']}", timeout=30).content
    assert mesh[:4] == b"glTF"
    assert len(mesh) == model["bytes"] > 10_000


def test_views_that_the_chosen_model_does_not_take_fail_with_advice(networks, new_page, picture):
    accept = f"{networks.url}/api/v1/models/hunyuan3d-2.0/accept"
    requests.post(accept, json={"accept": True}, timeout=60).raise_for_status()
    page = new_page(networks, expect_errors=True)  # the cut-out of a failed job may be gone
    page.goto("/models")
    card = page.locator("#model-hunyuan3d-2\\.0")
    expect(card).to_have_attribute("data-state", "ready")
    page.goto("/")
    page.set_input_files("#file", picture)
    page.click("#more-views summary")
    page.set_input_files("#view-left", picture)
    page.get_by_text("Shape", exact=True).click()
    page.select_option("#p-model", "hunyuan3d-2.0")
    page.click("#submit")
    page.wait_for_url("**/jobs/*")
    wait_done(page, "failed")
    error = page.locator("#job-error")
    expect(error).to_contain_text("engine-unavailable")
    error.get_by_role("link", name="Models").click()
    expect(page).to_have_url(f"{networks.url}/models")
