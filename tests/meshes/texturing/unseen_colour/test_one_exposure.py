from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.frame import PictureFrame
from backend.meshes.texturing.unseen_colour.one_exposure import exposure_gains
from backend.meshes.texturing.unseen_colour.picture_view import Facing, GivenPicture, PictureView
from tests.meshes.solids import disc_mask, sphere

SIDE = 128
FRAME = PictureFrame(63.5, 63.5, 1 / 100)
BALL = sphere(0.5, 5)
NORMALS = BALL.vertices / np.linalg.norm(BALL.vertices, axis=1, keepdims=True)
FRONT, LEFT, BACK = 0.0, 90.0, 180.0


def painted(points: np.ndarray) -> np.ndarray:
    """Colours all over the ball, without a jump: red and green change, blue is a constant 60."""
    red, green = 120 + 40 * np.sin(6 * points[..., 0]), 110 + 40 * np.cos(5 * points[..., 1])
    return np.stack([red, green, np.full_like(red, 60.0)], axis=-1)


def view(azimuth_deg: float, gain: object = 1.0, look=painted) -> PictureView:
    """Take a picture of the ball, brighter or darker than it is."""
    mask = disc_mask(SIDE, 50)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    x, y = (columns - 63.5) / 100, (63.5 - rows) / 100
    z = np.sqrt(np.maximum(0.25 - x * x - y * y, 0))
    angle = np.radians(azimuth_deg)
    world = np.stack(
        [x * np.cos(angle) + z * np.sin(angle), y, z * np.cos(angle) - x * np.sin(angle)], axis=-1
    )
    rgb = np.clip(np.rint(look(world) * np.asarray(gain)), 0, 255).astype(np.uint8)
    return PictureView(GivenPicture(rgb, mask, FRAME, azimuth_deg), BALL, 1.0, Facing())


def gains(*views: PictureView) -> np.ndarray:
    return exposure_gains(views, BALL.vertices.astype(np.float64), NORMALS, 0.02)


def test_exposure_and_balance_of_white_go_with_the_first_picture():
    balance = np.array([0.85, 0.8, 0.7])
    found = gains(view(FRONT), view(LEFT, balance))
    assert found[0].tolist() == [1, 1, 1]
    assert found[1] == pytest.approx(1 / balance, rel=0.02)


def test_a_picture_that_shares_nothing_with_the_first_goes_by_one_between():
    found = gains(view(FRONT), view(LEFT, 0.8), view(BACK, 1.3))
    assert found[1:] == pytest.approx(np.array([[1 / 0.8] * 3, [1 / 1.3] * 3]), rel=0.03)
    assert gains(view(FRONT), view(BACK, 1.3)).tolist() == [[1, 1, 1], [1, 1, 1]]


def test_a_channel_too_dark_to_be_compared_goes_with_the_others():
    def yellow(points: np.ndarray) -> np.ndarray:
        return painted(points) * [1, 1, 0]

    assert gains(view(FRONT, 1, yellow), view(LEFT, 0.8, yellow))[1] == pytest.approx(
        1 / 0.8, rel=0.02
    )


def test_what_is_cut_off_is_not_compared():
    def bright(points: np.ndarray) -> np.ndarray:
        return np.minimum(painted(points) * 1.5, 255)

    assert gains(view(FRONT), view(LEFT, 1, bright))[1] == pytest.approx(1 / 1.5, rel=0.03)


@pytest.mark.parametrize(
    "other",
    [
        lambda points: painted(points)[..., ::-1] * [0.3, 1, 2],  # another colour
        lambda points: painted(points) * 0.5,  # far darker
        lambda points: np.where(points[..., 1:2] % 0.2 < 0.1, 150.0, 50.0) + 0 * points,  # stripes
    ],
    ids=["colour", "darker", "stripes"],
)
def test_a_picture_that_shows_something_else_stays_as_it_is(other):
    assert gains(view(FRONT), view(LEFT, 1, other)).tolist() == [[1, 1, 1], [1, 1, 1]]


def test_one_picture_stays_as_it_is():
    assert gains(view(FRONT)).tolist() == [[1, 1, 1]]


def test_a_view_takes_other_colours_and_the_first_keeps_its_own():
    one = view(FRONT)
    twin = one.multiplied(np.array([2.0, 1.0, 0.5]))
    point = np.array([[0.0, 0.0, 0.5]])
    before, after = one.colours_at(point)[0], twin.colours_at(point)[0]
    assert after == pytest.approx([2 * before[0], before[1], before[2] / 2], abs=1)
    assert one.colours_at(point)[0].tolist() == before.tolist()
    assert twin.multiplied(np.full(3, 9.0)).colours.max() == 255
