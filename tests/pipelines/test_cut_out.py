from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from backend.catalog import CutOutParams
from backend.errors import NoForeground
from backend.meshes.masks import iou
from backend.meshes.picture import read_mask
from backend.pipelines.catalogue import run_pipeline
from backend.pipelines.pipeline import PipelineRequest
from tests.pipelines.drawings import DRAWINGS
from tests.pipelines.test_image_to_3d import NotingSink


def _cut(image, folder, sink=None, **params):
    image.save(folder / "input.png")
    request = PipelineRequest({"image": folder / "input.png"}, CutOutParams(**params), folder)
    return run_pipeline("cut_out", request, sink or NotingSink())


@pytest.mark.parametrize(
    ("name", "method"), [("transparent", "alpha"), ("on_white", "plain"), ("cluttered", "grabcut")]
)
def test_the_method_fits_the_picture(tmp_path, name, method):
    image, outline = DRAWINGS[name]()
    sink = NotingSink()
    outcome = _cut(image, tmp_path, sink)
    assert outcome.facts["mask"]["method"] == method
    assert [(f.name, f.role) for f in outcome.outputs] == [
        ("mask.png", "mask"),
        ("cutout.png", "cutout"),
    ]
    assert iou(read_mask(tmp_path / "mask.png", outline.shape), outline) > 0.8
    assert sink.started == ["image_preprocessing"]
    assert set(sink.artifacts) == {"mask.png", "cutout.png"}
    cut = Image.open(tmp_path / "cutout.png")
    assert cut.mode == "RGBA"
    assert np.asarray(cut)[0, 0, 3] == 0


def test_alpha_is_ignored_when_grabcut_is_asked_for(tmp_path):
    image = DRAWINGS["transparent"]()[0]
    opaque_ground = Image.new("RGBA", image.size, (255, 255, 255, 255))
    opaque_ground.alpha_composite(image)
    outcome = _cut(opaque_ground, tmp_path, background="grabcut")
    assert outcome.facts["mask"]["method"] in ("plain", "grabcut")


def test_alpha_asked_for_but_absent(tmp_path):
    with pytest.raises(NoForeground):
        _cut(DRAWINGS["on_white"]()[0], tmp_path, background="alpha")
