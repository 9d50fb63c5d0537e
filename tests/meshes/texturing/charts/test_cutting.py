"""Cutting a surface into charts that can be seen whole from their front."""

from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.texturing.charts.axis_labels import axis_labels
from backend.meshes.texturing.charts.chart_surface import ChartSurface
from backend.meshes.texturing.charts.crumbs import without_crumbs
from backend.meshes.texturing.charts.flattening import flattened
from backend.meshes.texturing.charts.long_charts import cut_long_charts, squeezed
from backend.meshes.texturing.charts.overlap_search import faces_behind
from backend.meshes.texturing.charts.overlap_splitting import split_overlaps
from backend.meshes.texturing.charts.turned_faces import fronts, without_turned_faces
from backend.meshes.triangle_mesh import TriangleMesh
from tests.meshes.solids import box, sphere
from tests.meshes.texturing.test_unwrapping import bumpy_ball, spiral_ramp, strip

FINE = 60.0


def surface(mesh: TriangleMesh) -> ChartSurface:
    return ChartSurface.of(mesh.vertices.astype(np.float64), mesh.faces.astype(np.int64))


def one_chart(of: ChartSurface) -> np.ndarray:
    return np.zeros(len(of.faces), dtype=np.int64)


def signed_areas(corners: np.ndarray) -> np.ndarray:
    base, side = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return (base[:, 0] * side[:, 1] - base[:, 1] * side[:, 0]) / 2


def nobody(_done: int, _total: int) -> None:
    pass


def test_sides_of_a_cube_get_the_six_directions():
    cube = surface(box())
    labels = axis_labels(cube)

    assert len(np.unique(labels)) == 6
    assert len(np.unique(np.column_stack([labels, np.rint(cube.normals)]), axis=0)) == 6


def test_roughness_does_not_break_patches_up():
    ball = sphere(subdivisions=4)
    noise = np.random.default_rng(0).normal(size=ball.vertices.shape)
    rough = surface(ball.with_vertices(ball.vertices + 0.006 * noise))
    plain = np.argmax(rough.normals @ np.concatenate([np.eye(3), -np.eye(3)]).T, axis=1)

    assert rough.pieces(axis_labels(rough)).max() < rough.pieces(plain).max() / 5


def test_crumbs_join_the_neighbour_that_looks_their_way():
    ball = surface(sphere(subdivisions=3))
    charts = ball.pieces(axis_labels(ball))
    crumb = charts.copy()
    crumb[:3] = charts.max() + 1

    joined = without_crumbs(ball, ball.pieces(crumb))

    assert len(np.unique(joined)) == len(np.unique(charts)) == 6


def test_crumbs_that_look_away_stay():
    cube = surface(box())
    charts = without_crumbs(cube, cube.pieces(axis_labels(cube)))

    assert len(np.unique(charts)) == 6


def test_no_face_turns_its_back_to_the_front_of_its_chart():
    ball = surface(sphere(subdivisions=3))
    charts = without_turned_faces(ball, one_chart(ball))
    cosines = np.einsum("ij,ij->i", ball.normals, fronts(ball, charts)[charts])

    assert cosines.min() > 0.1
    assert charts.max() < 40


def test_half_a_pipe_is_rolled_out_without_stretch():
    angles = np.linspace(-1.2, 1.2, 13)
    arcs = [np.stack([np.sin(angles), y + 0 * angles, np.cos(angles)], 1) for y in (0.0, 2.0)]
    low = np.arange(12)
    faces = np.concatenate(
        [np.stack([low, low + 1, low + 14], 1), np.stack([low, low + 14, low + 13], 1)]
    )
    pipe = ChartSurface.of(np.concatenate(arcs), faces)

    corners = flattened(pipe, one_chart(pipe))

    lengths = np.linalg.norm(np.roll(corners, -1, axis=1) - corners, axis=2)
    points = pipe.points[pipe.faces]
    true = np.linalg.norm(np.roll(points, -1, axis=1) - points, axis=2)
    assert np.allclose(lengths, true, rtol=0.02)
    assert (signed_areas(corners) > 0).all()


def test_flat_charts_have_the_area_of_their_surface():
    ball = surface(bumpy_ball())
    charts = without_turned_faces(ball, without_crumbs(ball, ball.pieces(axis_labels(ball))))
    flat = np.bincount(charts, weights=signed_areas(flattened(ball, charts)))

    assert np.allclose(flat, np.bincount(charts, weights=ball.areas))


def test_a_ramp_above_itself_is_found_and_parted():
    ramp = surface(spiral_ramp())
    charts = one_chart(ramp)
    corners = flattened(ramp, charts)
    behind, shared, covered = faces_behind(ramp, charts, FINE * corners)
    assert shared > 0.2 * covered
    middles = ramp.points[ramp.faces].mean(axis=1)[:, 1]
    assert middles[behind].mean() < middles[~behind].mean()

    charts, corners = split_overlaps(ramp, charts, corners, FINE, nobody)

    _, shared, covered = faces_behind(ramp, charts, FINE * corners)
    assert shared <= 5e-5 * covered
    assert (signed_areas(corners) > 0).all()
    assert np.array_equal(np.unique(charts), np.arange(charts.max() + 1))


def test_what_is_left_of_a_chart_that_loses_little_stays_where_it_lies():
    ramp = surface(spiral_ramp(turns=1.05))
    before = flattened(ramp, one_chart(ramp))
    behind, shared, _ = faces_behind(ramp, one_chart(ramp), FINE * before)
    assert 0 < behind.mean() < 0.1
    assert shared > 0

    charts, after = split_overlaps(ramp, one_chart(ramp), before, FINE, nobody)

    is_rest = charts == np.bincount(charts).argmax()
    assert not (is_rest & behind).any()
    assert np.array_equal(after[is_rest], before[is_rest])
    assert not np.array_equal(after[~is_rest], before[~is_rest])
    assert faces_behind(ramp, charts, FINE * after)[1] == 0


def test_charts_without_overlaps_stay_as_they_are():
    ball = surface(sphere(subdivisions=3))
    charts = ball.pieces(axis_labels(ball))
    corners = flattened(ball, charts)

    kept, same = split_overlaps(ball, charts, corners, FINE, nobody)

    assert np.array_equal(kept, charts)
    assert np.array_equal(same, corners)


def test_long_charts_are_cut_across_and_short_ones_are_not():
    long = surface(strip(64))
    corners = flattened(long, one_chart(long))

    cut = cut_long_charts(long, one_chart(long), corners, 0.25)

    assert 8 <= len(np.unique(cut)) <= 16
    lengths = [np.ptp(corners[cut == number][..., 0]) for number in np.unique(cut)]
    spans = [
        np.ptp(corners[cut == number].reshape(-1, 2), axis=0).max() for number in np.unique(cut)
    ]
    assert max(spans) < 0.25
    assert min(lengths) > 0
    assert cut_long_charts(long, one_chart(long), corners, 2.0).max() == 0


def test_slivers_along_the_whole_length_are_not_torn_apart():
    mesh = strip(1).with_vertices(strip(1).vertices * [100, 1, 1])
    long = surface(mesh)

    assert cut_long_charts(long, one_chart(long), flattened(long, one_chart(long)), 0.1).max() == 0


def test_what_cannot_be_cut_is_squeezed_along_its_length_only():
    mesh = strip(1).with_vertices(strip(1).vertices * [100, 1, 1])
    long, short = surface(mesh), surface(strip(1))
    corners = flattened(long, one_chart(long))

    found = squeezed(one_chart(long), corners, 0.5)

    assert np.ptp(found.reshape(-1, 2), axis=0).max() == pytest.approx(0.45, rel=0.05)
    assert signed_areas(found).sum() == pytest.approx(0.45 * signed_areas(corners).sum(), rel=0.05)
    plain = flattened(short, one_chart(short))
    assert np.array_equal(squeezed(one_chart(short), plain, 2.0), plain)
