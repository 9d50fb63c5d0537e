"""Pictures that break naive pipelines: every one must end in a closed mesh of its outline."""

from __future__ import annotations

import pytest

from backend.meshes.export import reload_welded
from backend.meshes.masks import iou
from backend.meshes.picture import read_mask
from tests.pipelines.drawings import DRAWINGS, THIN
from tests.pipelines.test_image_to_3d import run

FAST = {"grid_resolution": 72, "target_faces": 6000, "texture_size_px": 256}
WITHOUT_TEXTURE = FAST | {"texture": False}
# Hard to cut out; what is cut out is the doll that stands on nothing in another picture.
DOLLS = (
    "on_white", "grey_and_noisy", "gradient_and_shadow", "blotted_jpeg", "coloured_frame",
    "thin_inset_frame", "letterbox", "floor_and_wall", "cluttered",
)  # fmt: skip


@pytest.mark.parametrize("name", DRAWINGS)
def test_it_ends_closed_with_its_outline(tmp_path, name):
    image, outline = DRAWINGS[name]()
    effort = WITHOUT_TEXTURE if name in DOLLS else FAST
    outcome, files = run(image, tmp_path / "job", **effort)
    assert reload_welded(files["model.glb"].path).is_watertight
    assert outcome.facts["mesh"]["closed"]
    assert outcome.facts["mesh"]["faces"] <= FAST["target_faces"]
    assert outcome.facts["mesh"]["outline_iou"] > 0.8
    assert iou(read_mask(files["mask.png"].path, outline.shape), outline) > 0.8


@pytest.mark.parametrize("name", THIN)
def test_thin_things_survive(tmp_path, name):
    outcome, files = run(THIN[name](), tmp_path / "job", **WITHOUT_TEXTURE)
    assert reload_welded(files["model.glb"].path).is_watertight
    assert outcome.facts["mesh"]["faces"] <= FAST["target_faces"]
