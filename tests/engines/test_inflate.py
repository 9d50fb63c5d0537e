from __future__ import annotations

import numpy as np
import pytest

from backend.catalog import ImageTo3DParams, ShapeMode
from backend.engines.inflate import Inflate
from backend.engines.shape_task import ShapeTask
from backend.errors import JobCanceled
from backend.meshes.simplify import simplify
from backend.meshes.smoothing import taubin
from backend.meshes.validate import bodies
from backend.progress import SilentSink, StageProgress
from tests.conftest import draw_figure
from tests.engines.counting_sink import CountingSink
from tests.meshes.solids import disc_mask, ragged_disc_mask


def _task(mode=ShapeMode.AUTO, resolution=48, scale=1.0, mask=None):
    picture = np.asarray(draw_figure(128))
    own = picture[..., 3] > 127 if mask is None else mask
    return ShapeTask(np.ascontiguousarray(picture[..., :3]), own, mode, resolution, scale)


def _run(task, sink=None):
    (shape,) = Inflate().run([task], StageProgress(sink or SilentSink(), "shape_generation"))
    return shape


@pytest.mark.parametrize("mode", [ShapeMode.INFLATE, ShapeMode.LATHE, ShapeMode.SLAB])
def test_every_mode_gives_a_closed_surface(mode):
    shape = _run(_task(mode))
    assert shape.mode is mode
    assert shape.mesh.is_closed()
    assert "depth" in shape.notice


def test_auto_names_the_mode_it_took():
    assert _run(_task()).mode is ShapeMode.INFLATE
    assert _run(_task(mask=disc_mask(128, 40))).mode is ShapeMode.LATHE


def test_depth_scale_scales_the_depth_alone():
    thin, thick = _run(_task(scale=1.0)).mesh.extents, _run(_task(scale=2.0)).mesh.extents
    assert thick[2] == pytest.approx(2 * thin[2], rel=0.1)
    assert thick[:2] == pytest.approx(thin[:2], rel=0.02)


def test_more_cells_give_more_faces():
    coarse, fine = _run(_task(resolution=48)), _run(_task(resolution=96))
    assert len(fine.mesh.faces) > 3 * len(coarse.mesh.faces)


def test_one_pixel_strands_survive():
    mask = disc_mask(128, 20)
    mask[64, 4:124] = True
    shape = _run(_task(ShapeMode.INFLATE, mask=mask))
    assert shape.mesh.is_closed()
    assert shape.mesh.extents[0] > 110


def _ragged(seed):
    rgb = np.full((256, 256, 3), 120, np.uint8)
    return ShapeTask(rgb, ragged_disc_mask(256, seed), ShapeMode.INFLATE, 96, 1.0)


def test_a_ragged_outline_leaves_no_crumbs_beside_the_body():
    for seed in range(2):
        assert bodies(_run(_ragged(seed)).mesh) == 1


def test_an_island_that_is_meant_stays():
    mask = disc_mask(128, 30, (50, 50))
    mask[100:104, 100:104] = True
    assert bodies(_run(_task(ShapeMode.INFLATE, 96, mask=mask)).mesh) == 2


def test_a_ragged_body_keeps_no_more_faces_than_asked_for():
    rough = taubin(_run(_ragged(0)).mesh, 6)
    for target in (5000, 2000):
        found = simplify(rough, target)
        assert found.mesh.is_closed()
        assert 0.9 * target < len(found.mesh.faces) <= target


def test_steps_are_counted_to_the_end():
    sink = CountingSink()
    _run(_task(), sink)
    assert sink.seen == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_a_canceled_job_stops_between_steps():
    with pytest.raises(JobCanceled):
        _run(_task(), CountingSink(stop_after=2))


def test_tasks_batch_by_parameters_but_not_by_seed():
    engine = Inflate()
    one, other = ImageTo3DParams(seed=1), ImageTo3DParams(seed=2)
    assert engine.batch_key(one) == engine.batch_key(other)
    assert engine.batch_key(one) != engine.batch_key(ImageTo3DParams(depth_scale=2.0))
    assert engine.cost_key(one) != engine.cost_key(ImageTo3DParams(grid_resolution=64))
