"""The bench of textures: what it compares, on as little as it can."""

from __future__ import annotations

import numpy as np
import pytest

from backend.meshes.texturing.unwrapping import unwrap
from bench.texture.projection_times import time_projection
from bench.texture.round_trip import round_trips
from bench.texture.stage_times import StageTimes, timed, xatlas_layout
from bench.texture.subjects import figure, true_colours
from bench.texture.touching import touching_bodies
from bench.texture.unseen import mean_rows
from bench.texture.views import LaidOutSurface

FACES = 600


@pytest.fixture(scope="module")
def mesh():
    return figure(FACES)


def test_the_figure_has_the_faces_that_were_wanted_and_fits_the_frame(mesh):
    assert abs(len(mesh.faces) - FACES) <= 2
    assert np.linalg.norm(mesh.vertices, axis=1).max() == pytest.approx(0.575, abs=1e-3)
    colours = true_colours(mesh.vertices)
    assert colours.dtype == np.float32
    assert ((colours >= 0.1) & (colours <= 0.9)).all()
    assert (colours.std(axis=0) > 0.1).all()


def test_our_rules_lose_less_of_known_colours_than_the_published_ones(mesh):
    rows = {row["by"]: row for row in round_trips(LaidOutSurface(mesh, unwrap(mesh)), 128)}
    ours = rows.pop("ours")
    assert len(rows) == 2
    assert ours["painted_share"] > 0.7
    for other in rows.values():
        assert ours["mean_error"] < 0.5 * other["mean_error"]
        assert ours["view_mean_error"] < other["view_mean_error"]


def test_layouts_of_xatlas_cover_all_faces_within_the_texture(mesh):
    layout = xatlas_layout(mesh)
    assert layout.uv.min() >= 0
    assert layout.uv.max() <= 1
    assert (layout.sources[layout.faces] == mesh.faces).all()


def test_what_is_timed_is_done_so_often_and_gives_what_came_last():
    done = []
    times, found = timed(3, lambda: done.append(1) or len(done))
    assert found == len(done) == len(times.elapsed_s) == len(times.processor_s) == 3


def test_means_leave_out_what_is_not_known():
    rows = [
        {"by": "mirror", "mae_error": 1.0, "elapsed_s": None},
        {"by": "mirror", "mae_error": 3.0, "elapsed_s": None},
        {"by": "projection", "mae_error": None, "elapsed_s": 1.0},
    ]
    found = {row["by"]: row["mae_error"] for row in mean_rows(rows)}
    assert found == {"mirror": 2.0, "projection": None, "ring_blur": None}
    assert mean_rows([]) == []


def test_touching_bodies_keep_their_colours_where_they_are_known_apart():
    as_one, apart = touching_bodies(96, 1)
    assert as_one["wrong_share"] > 0.02
    assert apart["wrong_share"] == 0


def test_projection_is_timed_and_its_layout_is_drawn_as_by_rays(mesh):
    times = StageTimes(FACES, 1)
    (row,) = time_projection(times, unwrap(mesh), 64)
    assert row["covered"] > 1000
    assert row["other_than_by_rays"] <= 3
    stages = {one["stage"] for one in times.rows}
    assert stages == {"draw the layout, 64 px", "projection of one picture, 64 px"}
