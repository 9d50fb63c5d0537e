from __future__ import annotations

import numpy as np
import pytest
import trimesh

from backend.catalog import BackSide
from backend.meshes.frame import PictureFrame, to_metres
from backend.meshes.height_field import inflated
from backend.meshes.inflation_surface import round_surface, sample_outline
from backend.meshes.texturing.surface_layout import SurfaceLayout
from backend.meshes.texturing.textured_surface import textured_surface
from backend.meshes.texturing.two_sided_layout import two_sided_layout
from backend.meshes.texturing.unseen_colour import finer_surface, picture_view
from backend.meshes.texturing.unseen_colour.painting import paint
from backend.meshes.texturing.unseen_colour.picture_view import GivenPicture, sampled
from backend.meshes.texturing.unwrapping import unwrap
from backend.meshes.triangle_mesh import TriangleMesh
from tests.meshes.solids import box, disc_mask, sphere, together

SIDE, ATLAS = 128, 192
FRAME = PictureFrame(63.5, 63.5, 1 / 100)
RED, BLUE, GREEN, DARK = (255, 0, 0), (0, 0, 255), (0, 255, 0), (10, 10, 10)


@pytest.fixture(scope="module", autouse=True)
def few_nodes():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finer_surface, "NODES", 4000)
        patch.setattr(picture_view, "DEPTH_PX_PER_UNIT", 300)
        yield


class Painted:
    """What a painted mesh looks like at any of its faces."""

    def __init__(
        self, mesh, pictures, back=BackSide.AUTO, *, is_inflated=False, layout=None
    ) -> None:
        layout = layout or two_sided_layout(mesh)
        self.made = paint(mesh, layout, pictures, ATLAS, back, is_inflated=is_inflated)
        self.mesh = textured_surface(mesh, layout, self.made.texture)
        self.centres = self.mesh.vertices[self.mesh.faces].mean(axis=1)

    def colours(self, chosen) -> np.ndarray:
        uv = self.mesh.uv[self.mesh.faces[chosen]].mean(axis=1).astype(np.float64)
        places = np.stack([uv[:, 0], 1 - uv[:, 1]], axis=1) * ATLAS - 0.5
        return sampled(self.made.texture, places)

    def near(self, x, y, z) -> np.ndarray:
        away = np.linalg.norm(self.centres - np.array([x, y, z]), axis=1)
        return self.colours([away.argmin()])[0]


def _disc_picture():
    rgb = np.full((SIDE, SIDE, 3), GREEN, dtype=np.uint8)
    mask = disc_mask(SIDE, 50)
    rgb[mask] = RED
    return rgb, mask


def _halves():
    rgb, mask = _disc_picture()
    rgb[mask & (np.arange(SIDE) >= SIDE // 2)] = BLUE
    return rgb, mask


def _ball(mask):
    flat = np.zeros(mask.shape, dtype=np.float32)
    return to_metres(round_surface(sample_outline(mask, inflated(mask), flat, 40)), 1.0)


@pytest.fixture(scope="module", params=list(BackSide))
def in_halves(request):
    """A ball from a picture that is red on the left and blue on the right."""
    rgb, mask = _halves()
    mesh, frame = _ball(mask)
    return Painted(mesh, [GivenPicture(rgb, mask, frame)], request.param, is_inflated=True)


def test_red_on_the_left_of_the_picture_is_on_minus_x(in_halves):
    painted = in_halves
    left = painted.colours((painted.centres[:, 0] < -0.1) & (painted.centres[:, 2] > 0.05))
    right = painted.colours((painted.centres[:, 0] > 0.1) & (painted.centres[:, 2] > 0.05))
    assert left[:, 0].min() > 200 > left[:, 2].max()
    assert right[:, 2].min() > 200 > right[:, 0].max()


def test_no_background_colour_gets_onto_the_model(in_halves):
    assert in_halves.made.texture[..., 1].max() < 30


def test_the_back_is_red_or_blue_and_mostly_not_between(in_halves):
    blue = in_halves.colours(in_halves.centres[:, 2] < -0.1)[:, 2]
    assert ((blue > 40) & (blue < 215)).mean() < 0.4


def test_an_eye_shows_on_the_back_of_a_mirrored_model_alone():
    rgb, mask = _disc_picture()
    rgb[disc_mask(SIDE, 9)] = DARK
    given = GivenPicture(rgb, mask, FRAME)
    backs = {
        back: Painted(sphere(0.5, 4), [given], back, is_inflated=True).near(0, 0, -0.5)
        for back in BackSide
    }
    assert backs[BackSide.MIRROR].max() < 40
    assert backs[BackSide.AUTO][0] > 200
    assert backs[BackSide.PLAIN][0] > 200


def test_an_eye_leaves_no_trace_on_the_back():
    rgb, mask = _disc_picture()
    rgb[disc_mask(SIDE, 14)] = DARK
    ball = Painted(sphere(0.5, 4), [GivenPicture(rgb, mask, FRAME)], is_inflated=True)
    behind = ball.colours(ball.centres[:, 2] < -0.4)
    assert np.abs(behind - np.array(RED)).max() < 4


def test_a_belt_goes_round_only_where_detail_may():
    rgb, mask = _disc_picture()
    rgb[58:70][mask[58:70]] = BLUE
    given = GivenPicture(rgb, mask, FRAME)
    auto, plain = (
        Painted(sphere(0.5, 4), [given], back, is_inflated=True)
        for back in (BackSide.AUTO, BackSide.PLAIN)
    )
    assert auto.near(0, 0, -0.5)[2] > 200
    assert auto.near(0, 0.3, -0.4)[0] > 200
    assert plain.near(0, 0, -0.5)[2] < 160


@pytest.mark.parametrize("is_mixed", [True, False])
def test_what_has_no_likely_neighbours_is_on_the_back_as_well(is_mixed):
    """A dark part that reaches the outline, amid four colours or one, far from its own colour."""
    rgb, mask = _disc_picture()
    if is_mixed:
        rgb[:64, 64:], rgb[64:, :64], rgb[64:, 64:] = (230, 90, 90), (255, 110, 30), (220, 60, 130)
    rgb[disc_mask(SIDE, 20) | ((np.arange(SIDE) > 84) & _rows(57, 71))] = DARK
    ball = Painted(sphere(0.5, 4), [GivenPicture(rgb, mask, FRAME)], is_inflated=True)
    behind = ball.near(-0.1, 0, -0.49)
    assert (behind.max() < 60) if is_mixed else (behind[0] > 150)


def _rows(first, last):
    return ((np.arange(SIDE) >= first) & (np.arange(SIDE) < last))[:, None]


def test_panels_of_a_ball_are_on_its_back_as_well():
    """So few that each differs much from the colours that spread behind it."""
    rgb, mask = _disc_picture()
    panels = [(38, 64), (76, 42), (76, 86), (14, 64), (52, 16), (52, 112), (104, 34), (104, 94)]
    for place in panels:
        rgb[disc_mask(SIDE, 11, place) & mask] = DARK
    ball = Painted(sphere(0.5, 4), [GivenPicture(rgb, mask, FRAME)], is_inflated=True)
    behind = [ball.near((x - 63.5) / 100, (63.5 - y) / 100, -0.42)[0] for y, x in panels[:3]]
    assert max(behind) < 80
    assert ball.near(0, 0, -0.5)[0] > 200


def test_a_coat_before_a_cape_does_not_get_onto_it():
    coat, cape = (
        box(*part).as_trimesh().subdivide_to_size(0.05)
        for part in (((0.6, 0.6, 0.2), (0, -0.15, 0.2)), ((0.5, 0.9, 0.1), (0, 0, -0.1)))
    )
    both = together(*(TriangleMesh.welded(one.vertices, one.faces) for one in (coat, cape)))
    rgb, mask = np.full((SIDE, SIDE, 3), GREEN, dtype=np.uint8), np.zeros((SIDE, SIDE), bool)
    mask[19:49, 39:89] = mask[49:109, 34:94] = True
    rgb[19:49], rgb[49:109] = RED, BLUE
    painted = Painted(both, [GivenPicture(rgb, mask, FRAME)])
    assert painted.near(0, -0.2, 0.3)[2] > 200
    behind = painted.near(0, -0.2, -0.15)
    assert behind[0] > 200
    assert behind[2] < 60


def test_a_pocket_before_a_bag_does_not_get_onto_its_back():
    """Its colour is at the outline as well, so its islands alone would be expected behind."""
    mask = np.zeros((SIDE, SIDE), bool)
    mask[19:109, 19:109] = True
    rgb = np.full((SIDE, SIDE, 3), BLUE, np.uint8)
    rgb[:40], rgb[56:72, 48:80] = RED, RED
    solid = trimesh.creation.box((0.9, 0.9, 0.4)).subdivide_to_size(0.1)
    bag = TriangleMesh.welded(solid.vertices, solid.faces)
    both = together(bag, box((0.32, 0.16, 0.1), (0, 0, 0.25)))
    layout = unwrap(both, resolution=ATLAS)
    painted = Painted(both, [GivenPicture(rgb, mask, FRAME)], layout=layout)
    assert painted.near(0.05, -0.03, 0.3)[0] > 200
    x, y, z = painted.centres.T
    level = painted.colours((z < -0.19) & (np.abs(y) < 0.1) & (np.abs(x) < 0.4))
    assert np.ptp(level, axis=0).max() < 15


def _cart():
    """Make a body whose two sides are alike and whose ends are not, of small faces."""
    parts = [((0.9, 0.4, 0.3), (0, 0, 0)), ((0.3, 0.2, 0.2), (0.3, 0.3, 0))]
    fine = [box(*part).as_trimesh().subdivide_to_size(0.05) for part in parts]
    return together(*(TriangleMesh.welded(one.vertices, one.faces) for one in fine))


def test_the_far_side_of_a_body_seen_from_one_side_is_mirrored():
    """A wheel shows on both sides; on an inflated body nobody knows."""
    mask = np.zeros((SIDE, SIDE), bool)
    mask[44:84, 19:109], mask[24:44, 79:109] = True, True
    rgb = np.full((SIDE, SIDE, 3), RED, np.uint8)
    rgb[disc_mask(SIDE, 10, (64, 40))] = DARK
    given = GivenPicture(rgb, mask, FRAME)
    seen, guessed = Painted(_cart(), [given]), Painted(_cart(), [given], is_inflated=True)
    assert seen.made.plane.is_accepted
    assert seen.made.plane.azimuth_deg == pytest.approx(0, abs=1)
    assert seen.made.shares.reflected > 0.2
    for painted in (seen, guessed):
        assert painted.near(-0.23, 0, 0.15).max() < 60
    assert seen.near(-0.23, 0, -0.15).max() < 60
    assert guessed.near(-0.23, 0, -0.15)[0] > 200


def test_every_given_side_counts_as_seen():
    rgb, mask = _disc_picture()
    blue = np.where(mask[..., None], BLUE, GREEN).astype(np.uint8)
    pictures = [GivenPicture(rgb, mask, FRAME), GivenPicture(blue, mask, FRAME, 180.0)]
    painted = Painted(sphere(0.5, 4), pictures)
    assert painted.near(0, 0, 0.5) == pytest.approx(RED, abs=3)
    assert painted.near(0, 0, -0.5) == pytest.approx(BLUE, abs=3)
    assert painted.made.shares.seen > 0.6


def test_shares_of_the_surface_make_one():
    rgb, mask = _disc_picture()
    shares = Painted(sphere(0.5, 4), [GivenPicture(rgb, mask, FRAME)]).made.shares
    assert shares.seen + shares.reflected + shares.through + shares.filled == pytest.approx(1)
    assert 0.25 < shares.seen < 0.45  # normals within 72 degrees of the view


@pytest.fixture(scope="module")
def in_metres():
    return Painted(sphere(0.5, 4), [GivenPicture(*_halves(), FRAME)])


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_the_unit_of_the_mesh_does_not_matter(unit, in_metres):
    rgb, mask = _halves()
    ball, plain = sphere(0.5, 4), in_metres
    frame = PictureFrame(63.5, 63.5, unit / 100)
    scaled = Painted(ball.with_vertices(ball.vertices * unit), [GivenPicture(rgb, mask, frame)])
    difference = np.abs(plain.made.texture.astype(int) - scaled.made.texture)
    assert (difference.max(axis=2) > 8).mean() < 0.01
    assert scaled.made.shares.seen == pytest.approx(plain.made.shares.seen, abs=0.01)


def test_a_picture_of_something_else_gives_its_mean_colour():
    rgb, mask = _disc_picture()
    far = PictureFrame(5000.0, 63.5, 1 / 100)
    painted = Painted(sphere(0.5, 3), [GivenPicture(rgb, mask, far)])
    assert painted.made.shows_nothing
    assert (painted.made.texture == RED).all()


@pytest.mark.parametrize("pixels", [0, 1, 5])
def test_the_smallest_masks_are_taken(pixels):
    mask = np.zeros((SIDE, SIDE), bool)
    mask[64, 64 : 64 + pixels] = True
    rgb = np.full((SIDE, SIDE, 3), RED, np.uint8)
    painted = Painted(sphere(0.5, 3), [GivenPicture(rgb, mask, FRAME)])
    assert (painted.made.texture == RED).all()


def test_an_object_cut_off_by_the_picture_is_seen_to_its_border():
    rgb, mask = np.full((SIDE, SIDE, 3), RED, np.uint8), np.ones((SIDE, SIDE), bool)
    board = box((1.28, 1.28, 0.2), (0, 0, 0))
    painted = Painted(board, [GivenPicture(rgb, mask, FRAME)])
    assert (painted.made.texture == RED).all()
    assert painted.made.shares.seen > 0.35


def test_bodies_that_nobody_sees_take_what_is_near():
    rgb, mask = _halves()
    small = [
        sphere(0.03, 1).with_vertices(sphere(0.03, 1).vertices + np.array([x, y, -0.8]))
        for x in np.linspace(-0.4, 0.4, 10)
        for y in np.linspace(-0.4, 0.4, 10)
    ]
    painted = Painted(together(sphere(0.5, 3), *small), [GivenPicture(rgb, mask, FRAME)])
    assert painted.near(-0.4, 0, -0.8)[0] > 200
    assert painted.near(0.4, 0, -0.8)[2] > 200
    assert painted.made.texture[..., 1].max() < 30


def test_faces_without_area_are_taken():
    rgb, mask = _disc_picture()
    ball = sphere(0.5, 3)
    flat = np.array([[0, 0, 1], [2, 2, 2]], np.int32)
    mesh = TriangleMesh(ball.vertices, np.concatenate([ball.faces, flat]))
    painted = Painted(mesh, [GivenPicture(rgb, mask, FRAME)])
    assert painted.mesh.faces.shape == mesh.faces.shape
    assert painted.near(0, 0, 0.5) == pytest.approx(RED, abs=3)
    dot = TriangleMesh(np.zeros((3, 3), np.float32), np.array([[0, 1, 2]], np.int32))
    assert Painted(dot, [GivenPicture(rgb, mask, FRAME)]).made.texture.shape == (ATLAS, ATLAS, 3)


def test_the_same_picture_gives_the_same_texture():
    rgb, mask = _halves()
    rgb[disc_mask(SIDE, 20)] = np.random.default_rng(0).integers(0, 255, 3, dtype=np.uint8)
    solid = trimesh.creation.capsule(0.5, 0.3)
    mesh = TriangleMesh.welded(solid.vertices, solid.faces)
    one, other = (Painted(mesh, [GivenPicture(rgb, mask, FRAME)]).made for _ in range(2))
    assert (one.texture == other.texture).all()
    assert one.shares == other.shares


def test_steps_are_told_in_order():
    rgb, mask = _disc_picture()
    told = []
    mesh = sphere(0.5, 2)
    paint(
        mesh,
        two_sided_layout(mesh),
        [GivenPicture(rgb, mask, FRAME)],
        64,
        tell=lambda done, total: told.append((done, total)),
    )
    assert told == sorted(told)
    assert told[0][0] == 0
    assert told[-1][0] == told[-1][1]


def test_vertices_that_no_face_has_change_nothing():
    rgb, mask = _halves()
    mesh, frame = _ball(mask)
    layout = two_sided_layout(mesh)
    far = np.concatenate([np.array([[9.0, -9.0, 9.0]]), mesh.vertices]).astype(np.float32)
    strayed = TriangleMesh(far, mesh.faces + np.int32(1))
    shifted = SurfaceLayout(layout.sources + 1, layout.uv, layout.faces)
    given = [GivenPicture(rgb, mask, frame)]
    textures = [paint(*one, given, 64).texture for one in ((mesh, layout), (strayed, shifted))]
    assert (textures[0] == textures[1]).all()


def _chequered_with_a_face():
    """A fine pattern, and in its middle something that is not expected behind."""
    rgb, mask = _disc_picture()
    dark = (np.indices(mask.shape) // 6).sum(axis=0) % 2 == 1
    rgb[mask & dark] = BLUE
    rgb[disc_mask(SIDE, 22)] = (250, 240, 60)
    return rgb, mask


def test_the_back_of_a_pattern_has_the_pattern_where_a_face_is_left_out():
    rgb, mask = _chequered_with_a_face()
    ball = Painted(sphere(0.5, 5), [GivenPicture(rgb, mask, FRAME)], is_inflated=True)
    behind = np.linalg.norm(ball.centres - np.array([0, 0, -0.5]), axis=1) < 0.16
    colours = ball.colours(behind)
    assert colours[:, 1].max() < 130  # nothing of the yellow
    red = colours[:, 0]
    assert ((red > 60) & (red < 195)).mean() < 0.15  # red and blue, little purple between them
    assert red.std() > 35


def test_a_plain_back_stays_plain():
    rgb, mask = _disc_picture()
    rgb[disc_mask(SIDE, 22)] = (250, 240, 60)
    ball = Painted(sphere(0.5, 4), [GivenPicture(rgb, mask, FRAME)], is_inflated=True)
    assert np.abs(ball.colours(ball.centres[:, 2] < -0.35) - np.array(RED)).max() < 4
