from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from backend.engines.alpha_background import AlphaBackground
from backend.engines.background_task import BackgroundTask
from backend.engines.grabcut_background import GrabcutBackground
from backend.errors import JobCanceled, NoForeground
from backend.meshes.masks import iou
from backend.meshes.picture import Picture
from backend.progress import SilentSink, StageProgress
from tests.pipelines.drawings import DRAWINGS, SIDE, plain

PLAIN = [
    "on_white",
    "grey_and_noisy",
    "gradient_and_shadow",
    "dark_on_dark",
    "white_on_white",
    "blotted_jpeg",
    "coloured_frame",
    "thin_inset_frame",
    "letterbox",
    "cut_at_the_bottom",
    "touching_all_sides",
]


class _Impatient(SilentSink):
    def is_canceled(self) -> bool:
        return True


def _cut(engine, image: Image.Image, sink=None):
    task = BackgroundTask(Picture(np.asarray(image)))
    (found,) = engine.run([task], StageProgress(sink or SilentSink(), "image_preprocessing"))
    return found


@pytest.mark.parametrize("name", PLAIN)
def test_plain_backgrounds_are_told_from_the_object(name):
    image, outline = DRAWINGS[name]()
    found = _cut(GrabcutBackground(), image)
    assert found.method == "plain"
    assert found.confidence >= 0.6
    assert iou(found.mask, outline) > 0.92


@pytest.mark.parametrize("name", ["cluttered", "floor_and_wall"])
def test_grabcut_is_never_sure_of_itself(name):
    image, outline = DRAWINGS[name]()
    found = _cut(GrabcutBackground(), image)
    assert found.method == "grabcut"
    assert 0.3 < found.confidence < 0.6
    assert iou(found.mask, outline) > 0.8


@pytest.mark.parametrize("name", ["transparent", "soft_edges", "faint_all_over", "tiny"])
def test_the_picture_s_own_alpha_is_the_mask(name):
    image, outline = DRAWINGS[name]()
    found = _cut(AlphaBackground(), image)
    assert (found.method, found.confidence) == ("alpha", 1.0)
    assert iou(found.mask, outline) > 0.98


def test_one_colour_holds_no_object():
    with pytest.raises(NoForeground):
        _cut(GrabcutBackground(), plain(90, 120, 30))


def test_a_fully_transparent_picture_holds_no_object():
    with pytest.raises(NoForeground):
        _cut(AlphaBackground(), Image.new("RGBA", (SIDE, SIDE)))


def test_alpha_is_refused_when_there_is_none():
    with pytest.raises(NoForeground, match="no transparency"):
        _cut(AlphaBackground(), DRAWINGS["on_white"]()[0])


@pytest.mark.parametrize("engine", [AlphaBackground(), GrabcutBackground()])
def test_a_canceled_job_stops(engine):
    with pytest.raises(JobCanceled):
        _cut(engine, DRAWINGS["transparent"]()[0], _Impatient())


def test_a_batch_gives_one_answer_per_picture_in_order():
    names = ["on_white", "coloured_frame"]
    drawn = [DRAWINGS[name]() for name in names]
    tasks = [BackgroundTask(Picture(np.asarray(image))) for image, _ in drawn]
    found = GrabcutBackground().run(tasks, StageProgress(SilentSink(), "image_preprocessing"))
    for cut_out, (_, outline) in zip(found, drawn, strict=True):
        assert iou(cut_out.mask, outline) > 0.93
