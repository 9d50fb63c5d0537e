from __future__ import annotations

import numpy as np
import pytest
import trimesh

from backend.catalog import ShapeMode
from backend.engines.inflate import Inflate
from backend.engines.shape_task import ShapeTask
from backend.meshes.texturing.surface_layout import SurfaceLayout
from backend.meshes.texturing.unseen_colour import harmonic_fill, surface_graph
from backend.meshes.texturing.unseen_colour.finer_surface import finer
from backend.meshes.texturing.unseen_colour.harmonic_fill import fill
from backend.meshes.triangle_mesh import TriangleMesh
from backend.progress import SilentSink, StageProgress
from tests.meshes.solids import sphere, together
from tests.meshes.texturing.unseen_colour.plates import graph_of, plate


@pytest.mark.parametrize("shape", [(20, 20), (6, 40), (40, 6)])
def test_between_two_edges_colours_run_evenly_however_long_the_faces_are(shape):
    mesh = plate(*shape)
    graph = graph_of(mesh)
    x = mesh.vertices[:, :1].astype(np.float64)
    known = (x[:, 0] == 0) | (x[:, 0] == 1)
    filled = fill(graph, np.where(known[:, None], 200 * x, 7.0), known)
    assert filled == pytest.approx(200 * x, abs=3)


def test_a_body_with_nothing_known_takes_what_is_nearest():
    near, far = sphere(0.2, 1), sphere(0.2, 1)
    far = far.with_vertices(far.vertices + np.array([0.5, 0, 0]))
    graph = graph_of(together(near, far))
    count = len(near.vertices)
    known = np.arange(2 * count) < count
    colours = np.where(graph.points[:, :1] > 0.1, 90.0, 10.0)
    filled = fill(graph, colours, known)
    assert (filled[:count] == colours[:count]).all()
    assert (filled[count:] == 90).all()


def test_smoothing_keeps_what_is_even_and_calms_what_is_not():
    graph = graph_of(sphere(0.5, 2))
    assert graph.smoothed(np.full(len(graph.points), 5.0), 6) == pytest.approx(5.0)
    noise = np.random.default_rng(0).normal(size=len(graph.points))
    assert graph.smoothed(noise, 6).std() < 0.5 * noise.std()


def test_many_vertices_are_put_together_but_not_across_bodies(monkeypatch):
    monkeypatch.setattr(surface_graph, "MOST_NODES", 500)
    monkeypatch.setattr(surface_graph, "CLUSTERED_NODES", 300)
    inner, outer = sphere(0.49, 3), sphere(0.5, 3)
    mesh = together(inner, outer)
    graph = graph_of(mesh)
    assert 200 < len(graph.points) < 1200
    count = len(inner.vertices)
    assert not set(graph.node_of[:count]) & set(graph.node_of[count:])
    assert len(np.unique(graph.bodies)) == 2
    away = np.linalg.norm(graph.points[graph.node_of] - mesh.vertices, axis=1)
    assert away.max() < 0.2
    assert np.linalg.norm(graph.normals, axis=1) == pytest.approx(1.0)
    height = graph.points[:, 1:2]
    assert graph.to_vertices(height) == pytest.approx(mesh.vertices[:, 1:2], abs=0.12)


def test_faces_without_area_do_no_harm():
    solid = trimesh.creation.icosphere(2)
    points = np.vstack([solid.vertices, solid.vertices[:1], solid.vertices[:1]])
    flat = [[0, len(points) - 2, len(points) - 1], [0, 0, 1]]
    mesh = TriangleMesh(points.astype(np.float32), np.vstack([solid.faces, flat]).astype(np.int32))
    graph = graph_of(mesh)
    known = np.arange(len(points)) == 3
    assert fill(graph, np.full((len(points), 3), 40.0), known) == pytest.approx(40.0)


def _slender_bar() -> TriangleMesh:
    """A bar whose edges were halved again and again, in whose order they are numbered."""
    mask = np.zeros((510, 510), bool)
    mask[255:257, 20:490] = True
    rgb = np.zeros((*mask.shape, 3), np.uint8)
    task = ShapeTask(rgb, mask, ShapeMode.SLAB, 160, 1.0)
    bar = Inflate().run([task], StageProgress(SilentSink(), "shape_generation"))[0].mesh
    bar = bar.with_vertices(bar.vertices / bar.extents.max())
    nowhere = np.zeros((len(bar.vertices), 2), np.float32)
    return finer(bar, SurfaceLayout(np.arange(len(nowhere)), nowhere, bar.faces))[0]


def test_the_factors_of_a_slender_bar_stay_sparse(monkeypatch):
    entries = []
    factorise = harmonic_fill.splu

    def counted(*given, **options):
        factors = factorise(*given, **options)
        entries.append(factors.nnz)
        return factors

    monkeypatch.setattr(harmonic_fill, "splu", counted)
    graph = graph_of(_slender_bar())
    known = np.arange(len(graph.points)) == 0
    found = fill(graph, np.full((len(known), 3), 7.0), known)
    assert found == pytest.approx(7.0)
    assert entries[0] < 100 * len(known)
