"""A job whose files are made here, and what a test does on the page of its parts."""

from __future__ import annotations

import json

from PIL import Image

from backend.jobs.parts.division import read_division
from tests.conftest import png_bytes
from tests.jobs.parts.made_tree import (
    made_tree,
    row_of_boxes,
    surface_glb,
    tree_data,
    with_made_parts,
)

BOXES = 8
VIEW = {"width": 1000, "height": 640}
TREE = made_tree(BOXES, seed=3, suggested=4)
TREE = with_made_parts(TREE, read_division(TREE).parts)
TREE["parts"][1]["volume"] = 0.002743
VERTICES, FACES, PATCHES = row_of_boxes(BOXES, cells=3)
FACES_PER_BOX = 12 * 3**2
TEXTURE = png_bytes(Image.new("RGB", (4, 4), (200, 120, 40)))
FILES = {
    "part_tree.json": ("part_tree", json.dumps(TREE).encode()),
    "part_tree.npz": ("part_tree_data", tree_data(PATCHES[FACES[:, 0]])),
    "surface.glb": ("surface", surface_glb(VERTICES, FACES, PATCHES, TEXTURE)),
    "parts.zip": ("parts_zip", b"PK"),
}


def rows(page):
    return page.locator("part-explorer [role=option]")


def told(page):
    return page.locator("part-explorer [role=status]")


def button(page, name):
    return page.locator("part-explorer").get_by_role("button", name=name, exact=True)


def drag(page, count):
    page.evaluate(
        """count => {
          const slider = document.getElementById("parts-slider");
          slider.value = count;
          slider.dispatchEvent(new Event("input", { bubbles: true }));
        }""",
        count,
    )


def let_go(page):
    page.evaluate("document.getElementById('parts-slider').dispatchEvent(new Event('change'))")


def place_of(page, patch):
    """Where the middle of the front of a patch is in the window."""
    return page.evaluate(
        """patch => {
          const { scene } = document.querySelector("part-explorer");
          const box = scene.boxes[patch];
          const { moved } = scene.parts.find(({ patches }) => patches.includes(patch));
          const at = scene.camera.position.clone();
          const front = [(box[0] + box[3]) / 2, (box[1] + box[4]) / 2, box[5]];
          at.set(...front.map((value, axis) => value + moved[axis])).project(scene.camera);
          const { left, top, width, height } = scene.canvas.getBoundingClientRect();
          return [left + (width * (at.x + 1)) / 2, top + (height * (1 - at.y)) / 2];
        }""",
        patch,
    )


def saved_parts(page, parts_server, version=None):
    path = page.url[page.url.index("/jobs/") :]
    wanted = f"?version={version}" if version else ""
    return page.request.get(f"{parts_server.url}/api/v1{path}/parts{wanted}").json()


def wait_for_frames(page, do):
    """Do something, and wait until what it changes has been drawn."""
    count = "document.querySelector('part-explorer').frames"
    before = page.evaluate(count)
    do()
    page.evaluate(
        """before => new Promise((done, fail) => {
          const explorer = document.querySelector("part-explorer");
          const look = () => (explorer.frames > before ? done() : requestAnimationFrame(look));
          setTimeout(() => fail(new Error("nothing was drawn")), 20000);
          look();
        })""",
        before,
    )
