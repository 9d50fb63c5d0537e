"""A mesh without texture coordinates gets some: whole, flat, apart from each other."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from backend.meshes.texturing.charts.layout_quality import layout_quality
from backend.meshes.texturing.charts.scanlines import covered_texels
from backend.meshes.texturing.surface_layout import SurfaceLayout
from backend.meshes.texturing.unwrapping import unwrap
from backend.meshes.triangle_mesh import TriangleMesh
from tests.meshes.solids import box, sphere, together

SIDE = 256


def bumpy_ball() -> TriangleMesh:
    ball = sphere(subdivisions=3)
    waves = np.sin(9 * ball.vertices).sum(axis=1, keepdims=True)
    return ball.with_vertices(ball.vertices * (1 + 0.08 * waves))


def spiral_ramp(turns: float = 3) -> TriangleMesh:
    """A ramp that winds above itself, so that it hides itself from above."""
    angles = np.linspace(0, 2 * np.pi * turns, round(48 * turns))
    circle = np.stack([np.cos(angles), 0.05 * angles, -np.sin(angles)], axis=1)
    rims = np.concatenate([circle * [0.5, 1, 0.5], circle])
    inner = np.arange(len(angles) - 1)
    outer = inner + len(angles)
    faces = np.concatenate(
        [np.stack([inner, outer, outer + 1], 1), np.stack([inner, outer + 1, inner + 1], 1)]
    )
    return TriangleMesh(rims.astype(np.float32), faces.astype(np.int32))


def strip(length: int) -> TriangleMesh:
    """A flat strip of unit squares."""
    x = np.arange(length + 1.0)
    vertices = np.concatenate([np.stack([x, 0 * x, side + 0 * x], axis=1) for side in (1.0, 0.0)])
    low = np.arange(length)
    high = low + length + 1
    faces = np.concatenate(
        [np.stack([low, low + 1, high], 1), np.stack([low + 1, high + 1, high], 1)]
    )
    return TriangleMesh(vertices.astype(np.float32), faces.astype(np.int32))


def of(vertices: object, faces: object) -> TriangleMesh:
    return TriangleMesh(np.asarray(vertices, np.float32), np.asarray(faces, np.int32))


def hundred_boxes() -> TriangleMesh:
    boxes = [box(centre=(2.0 * (i % 10), 0.0, 2.0 * (i // 10))) for i in range(100)]
    return together(*boxes)


def two_sided_ball() -> TriangleMesh:
    ball = sphere(subdivisions=2)
    return of(ball.vertices, np.concatenate([ball.faces, ball.faces[:, ::-1]]))


def unwelded_ball() -> TriangleMesh:
    ball = sphere(subdivisions=2)
    return of(
        ball.vertices[ball.faces].reshape(-1, 3), np.arange(3 * len(ball.faces)).reshape(-1, 3)
    )


def torus() -> TriangleMesh:
    solid = trimesh.creation.torus(1.0, 0.3, 32, 16)
    return TriangleMesh.welded(solid.vertices, solid.faces)


CORNER = [[0, 0, 0], [1, 0, 0], [0, 1, 0]]
ODD_MESHES = {
    "triangle": of(CORNER, [[0, 1, 2]]),
    "cube": box(),
    "ball": sphere(subdivisions=2),
    "torus": torus(),
    "two_sided": two_sided_ball(),
    "unwelded": unwelded_ball(),
    "three_faces_at_an_edge": of([*CORNER, [-1, 0, 0]], [[0, 2, 1], [0, 2, 3], [2, 0, 1]]),
    "same_corner_twice": of(CORNER, [[0, 1, 2], [0, 0, 1], [1, 1, 1]]),
    "without_area_on_an_edge": of([*CORNER, [0.5, 0, 0]], [[0, 3, 2], [3, 1, 2], [0, 1, 3]]),
    "without_area_far_off": of([*CORNER, [5, 5, 5], [6, 5, 5], [7, 5, 5]], [[0, 1, 2], [3, 4, 5]]),
    "spiral": spiral_ramp(),
    "millionth": sphere(subdivisions=2, radius=1e-6),
    "million": sphere(subdivisions=2, radius=1e6),
}


@pytest.fixture(scope="module")
def ball() -> TriangleMesh:
    return bumpy_ball()


@pytest.fixture(scope="module")
def ball_layout(ball: TriangleMesh) -> SurfaceLayout:
    return unwrap(ball, resolution=SIDE)


def test_the_layout_has_the_faces_of_the_mesh_in_their_order(ball, ball_layout):
    assert np.array_equal(ball_layout.sources[ball_layout.faces], ball.faces)
    assert ball_layout.uv.dtype == np.float32
    assert ball_layout.faces.dtype == np.int32
    assert ball_layout.sources.dtype == np.int64


def test_a_ball_is_laid_out_with_little_stretch_and_fills_half_of_the_texture(ball, ball_layout):
    found = layout_quality(ball.vertices, ball_layout, SIDE)

    assert found.stretch is not None
    assert found.stretch < 1.02
    assert found.anisotropy is not None
    assert found.anisotropy < 1.4
    assert found.overlap == 0
    assert found.mirrored == 0
    assert found.charts < 20
    assert found.texel_use > 0.45


def test_charts_keep_a_gap(ball, ball_layout):
    faces, rows, columns = covered_texels(ball_layout.corner_uv * SIDE)
    owners = np.full((SIDE + 2, SIDE + 2), -1)
    owners[rows + 1, columns + 1] = charts_of(ball_layout)[faces]
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        here = owners[1:-1, 1:-1]
        there = owners[1 + down : SIDE + 1 + down, 1 + right : SIDE + 1 + right]
        assert not ((here >= 0) & (there >= 0) & (here != there)).any()


def test_the_same_mesh_gets_the_same_layout(ball, ball_layout):
    again = unwrap(ball, resolution=SIDE)

    assert np.array_equal(again.uv, ball_layout.uv)
    assert np.array_equal(again.faces, ball_layout.faces)


@pytest.mark.parametrize("name", ODD_MESHES)
def test_every_face_has_a_place_and_no_face_is_mirrored(name):
    mesh = ODD_MESHES[name]

    layout = unwrap(mesh, resolution=SIDE)

    assert np.array_equal(layout.sources[layout.faces], mesh.faces)
    assert np.isfinite(layout.uv).all()
    assert layout.uv.min() >= 0
    assert layout.uv.max() <= 1
    found = layout_quality(mesh.vertices, layout, SIDE)
    assert found.mirrored == 0
    assert found.overlap is not None
    assert found.overlap < 2e-4
    assert found.stretch is not None
    assert found.stretch < 1.02


def test_a_cube_is_laid_out_as_six_squares():
    layout = unwrap(box(), resolution=SIDE)
    found = layout_quality(box().vertices, layout, SIDE)

    assert found.charts == 6
    assert found.stretch == pytest.approx(1)
    assert found.texel_use > 0.6


def test_size_does_not_matter():
    small, large = (sphere(subdivisions=2, radius=radius) for radius in (0.5, 4096.0))

    assert np.allclose(unwrap(small).uv, unwrap(large).uv, atol=1e-4)


def test_a_hundred_bodies_are_all_as_fine():
    mesh = hundred_boxes()
    layout = unwrap(mesh, resolution=SIDE)
    corners = layout.corner_uv
    sides = np.linalg.norm(corners[:, 1] - corners[:, 0], axis=1)
    long = np.linalg.norm(mesh.vertices[mesh.faces][:, 1] - mesh.vertices[mesh.faces][:, 0], axis=1)

    assert np.ptp(sides / long) < 1e-4 * (sides / long).mean()
    assert layout_quality(mesh.vertices, layout, SIDE).overlap == 0


def test_what_is_longer_than_the_texture_is_cut():
    layout = unwrap(strip(400), resolution=SIDE)
    found = layout_quality(strip(400).vertices, layout, SIDE)

    assert found.charts > 10
    assert found.texel_use > 0.4


def test_faces_without_area_lie_on_the_texture_of_the_nearest_face():
    layout = unwrap(ODD_MESHES["without_area_far_off"], resolution=SIDE)
    uv = layout.corner_uv

    assert np.allclose(uv[1], uv[0].mean(axis=0), atol=1e-5)


def test_a_mesh_without_area_is_laid_out_in_one_point():
    layout = unwrap(of([[0, 0, 0], [1, 0, 0], [2, 0, 0]], [[0, 1, 2]]))

    assert np.array_equal(layout.uv, np.full((3, 2), 0.5, dtype=np.float32))


def test_no_faces_give_an_empty_layout():
    layout = unwrap(of(np.zeros((0, 3)), np.zeros((0, 3))))

    assert layout.faces.shape == (0, 3)
    assert layout.uv.shape == (0, 2)


def test_progress_grows_to_the_end(ball):
    heard: list[tuple[int, int]] = []
    unwrap(ball, resolution=SIDE, tell=lambda done, total: heard.append((done, total)))

    done = [step for step, _ in heard]
    assert done == sorted(done)
    assert heard[-1][0] == heard[-1][1]
    assert len(set(done)) >= 6


def test_who_is_told_can_end_the_work(ball):
    def stop(done: int, _total: int) -> None:
        if done:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        unwrap(ball, resolution=SIDE, tell=stop)


def charts_of(layout: SurfaceLayout) -> np.ndarray:
    """Number of the chart of each face, by following faces that share a vertex."""
    owner = np.arange(len(layout.uv))
    while True:
        lowest = owner[layout.faces].min(axis=1)
        found = owner.copy()
        np.minimum.at(found, layout.faces.reshape(-1), np.repeat(lowest, 3))
        if np.array_equal(found, owner):
            return owner[layout.faces[:, 0]]
        owner = found
