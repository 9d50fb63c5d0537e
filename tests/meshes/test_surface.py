"""Surface, smoothing, simplification, placing and checking."""

from __future__ import annotations

import numpy as np
import pytest

from backend.errors import MeshInvalid, NoSurfaceFound
from backend.meshes.frame import to_metres
from backend.meshes.height_field import lathed, slab
from backend.meshes.inflation_surface import round_surface, sample_outline, slab_surface
from backend.meshes.simplify import simplify
from backend.meshes.smoothing import taubin
from backend.meshes.triangle_mesh import TriangleMesh, vertex_normals
from backend.meshes.validate import bodies, validate
from tests.meshes.shapes import cube, disc_mask

FLAT = np.zeros((128, 128), dtype=np.float32)


def ball(resolution=48):
    mask = disc_mask(128, 50)
    return round_surface(sample_outline(mask, lathed(mask), FLAT, resolution))


def test_ball_has_the_volume_of_a_sphere():
    mesh, _ = to_metres(ball(96), 2.0)
    assert mesh.is_closed()
    assert mesh.volume() == pytest.approx(4 / 3 * np.pi, rel=0.03)


def test_hole_in_the_outline_goes_through():
    mask = disc_mask(128, 50) & ~disc_mask(128, 18)
    mesh = round_surface(sample_outline(mask, np.where(mask, 12.0, 0.0), FLAT, 64))
    assert mesh.is_closed()
    euler = len(mesh.vertices) - len(mesh.faces) // 2
    assert euler == 0, "a ring, not a ball"


def test_slab_is_closed_and_as_thick_as_said():
    mask = np.zeros((128, 128), dtype=bool)
    mask[30:100, 40:90] = True
    mesh = slab_surface(sample_outline(mask, slab(mask, 1.0), FLAT, 64))
    assert mesh.is_closed()
    assert mesh.extents[2] == pytest.approx(2 * slab(mask, 1.0).max(), rel=0.05)


def test_object_cut_by_the_picture_border_is_still_closed():
    mask = np.roll(disc_mask(128, 50), 40, axis=1)
    mask[:, :40] = False
    mesh = round_surface(sample_outline(mask, np.where(mask, 20.0, 0.0), FLAT, 48))
    assert mesh.is_closed()


def test_empty_mask_has_no_surface():
    empty = np.zeros((64, 64), dtype=bool)
    with pytest.raises(NoSurfaceFound):
        sample_outline(empty, empty.astype(float), FLAT[:64, :64], 48)


def test_smoothing_keeps_the_size_and_calms_noise():
    mesh = ball()
    noise = np.random.default_rng(0).normal(0, 0.5, mesh.vertices.shape)
    rough = mesh.with_vertices(mesh.vertices + noise)
    smooth = taubin(rough, 10)

    def roughness(m):
        return np.std(np.linalg.norm(m.vertices - m.vertices.mean(axis=0), axis=1))

    assert roughness(smooth) < 0.6 * roughness(rough)
    assert smooth.extents == pytest.approx(mesh.extents, rel=0.05)


def test_simplified_mesh_is_closed_and_small():
    mesh = ball(96)
    small = simplify(mesh, 2000)
    assert small.method in ("quadric", "manifold")
    assert len(small.mesh.faces) <= 2100
    assert small.mesh.is_closed()
    assert abs(small.mesh.volume()) == pytest.approx(abs(mesh.volume()), rel=0.03)
    assert simplify(mesh, 10**6).method == "none"


def test_model_stands_on_the_ground_upright_and_scaled():
    mesh, frame = to_metres(ball(), 0.5)
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    assert low[1] == pytest.approx(0, abs=1e-6)
    assert mesh.extents.max() == pytest.approx(0.5, rel=1e-5)
    assert low[0] == pytest.approx(-high[0], abs=1e-5)
    top = mesh.vertices[mesh.vertices[:, 1].argmax()]
    assert frame.to_pixels(top[None])[0, 1] == pytest.approx(13.5, abs=1.5), "up is up"
    assert frame.scaled(2).to_pixels(top[None])[0, 1] == pytest.approx(27.5, abs=3)


def test_normals_look_outwards():
    mesh, _ = to_metres(ball(), 1.0)
    outward = mesh.vertices - mesh.vertices.mean(axis=0)
    normals = vertex_normals(mesh)
    assert np.linalg.norm(normals, axis=1) == pytest.approx(1, abs=1e-5)
    assert (np.einsum("ij,ij->i", outward, normals) > 0).mean() > 0.99


def test_good_mesh_is_described():
    facts = validate(cube(2.0))
    assert facts["faces"] == 12
    assert facts["volume_m3"] == 8.0
    assert facts["extents_m"] == [2.0, 2.0, 2.0]
    assert facts["bodies"] == 1


def broken(change):
    mesh = cube()
    vertices, faces = mesh.vertices.copy(), mesh.faces.copy()
    vertices, faces = change(vertices, faces)
    return TriangleMesh(vertices, faces)


def with_value(vertices, faces, value):
    vertices[0, 0] = value
    return vertices, faces


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda v, f: with_value(v, f, np.nan), "finite"),
        (lambda v, f: with_value(v, f, np.inf), "finite"),
        (lambda v, f: (v, np.vstack([f[:-1], f[:1]])), "closed"),
        (lambda v, f: (v, np.vstack([f[:1, ::-1], f[1:]])), "closed"),
        (lambda v, f: (v, f[:, ::-1]), "inside out"),
        (lambda v, f: (v, f + 100), "do not exist"),
        (lambda v, f: (v * 1e6, f), "longest side"),
        (lambda v, f: (v * 1e-7, f), "longest side"),
    ],
)
def test_each_defect_is_named(change, word):
    with pytest.raises(MeshInvalid, match=word):
        validate(broken(change))


def test_empty_mesh_is_no_surface():
    with pytest.raises(NoSurfaceFound):
        validate(TriangleMesh(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32)))


def test_bodies_are_counted():
    one = cube()
    two = TriangleMesh(
        np.vstack([one.vertices, one.vertices + 5]), np.vstack([one.faces, one.faces + 8])
    )
    assert bodies(two) == 2


def test_welding_merges_and_drops_what_collapses():
    mesh = TriangleMesh.welded(
        np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0], [-0.0, 0, 0]]),
        np.array([[0, 1, 2], [3, 1, 2], [0, 3, 4]]),
    )
    assert len(mesh.vertices) == 3
    assert len(mesh.faces) == 2
