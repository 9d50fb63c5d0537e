from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.frame import PictureFrame, to_metres
from tests.meshes.solids import box, sphere


def test_the_model_stands_on_the_ground_in_the_middle_with_its_size():
    pixels = box((100, 40, 20), centre=(300, 200, 7))
    mesh, frame = to_metres(pixels, 2.5)
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    assert mesh.extents.max() == pytest.approx(2.5)
    assert low[1] == pytest.approx(0, abs=1e-6)
    assert (low + high)[[0, 2]] == pytest.approx([0, 0], abs=1e-6)
    assert mesh.volume() > 0
    assert frame.metres_per_px == pytest.approx(0.025)


def test_up_in_the_picture_is_up_in_the_model():
    ball = sphere(radius=10)
    raised = ball.vertices.copy()
    top_of_picture = raised[:, 1].argmin()
    raised[top_of_picture, 1] -= 15
    mesh, frame = to_metres(ball.with_vertices(raised), 1.0)
    highest = mesh.vertices[mesh.vertices[:, 1].argmax()]
    assert frame.to_pixels(highest[None])[0, 1] == pytest.approx(
        raised[top_of_picture, 1], abs=1e-3
    )


def test_pixels_and_metres_go_back_and_forth():
    frame = PictureFrame(50.0, 90.0, 0.01)
    assert frame.to_pixels(np.array([[0.0, 0.0, 3.0]]))[0] == pytest.approx([50, 90])
    assert frame.to_pixels(np.array([[0.1, 0.2, 0.0]]))[0] == pytest.approx([60, 70])


def test_a_scaled_frame_keeps_pixel_centres():
    frame = PictureFrame(9.5, 19.5, 0.01).scaled(2)
    assert (frame.centre_x_px, frame.bottom_y_px) == (19.5, 39.5)
    assert frame.metres_per_px == 0.005
