from __future__ import annotations

import numpy as np
import pytest

from backend.catalog import ImageTo3DParams, ShapeMode
from backend.engines.inflate import Inflate
from backend.engines.shape_task import ShapeTask
from backend.errors import JobCanceled
from backend.progress import SilentSink, StageProgress
from tests.conftest import draw_figure
from tests.engines.counting_sink import CountingSink
from tests.meshes.solids import disc_mask


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
