"""The tiny engine of benches and tests has to behave like one of real networks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from backend.catalog import ImageTo3DParams, ShapeMode
from backend.engines.shape_task import ShapeTask
from backend.errors import JobCanceled, NoSurfaceFound
from backend.pipelines.pipeline import PipelineRequest
from backend.profiling.recorder import profile_stage, record_pipeline
from backend.profiling.spans import SpanKind
from backend.progress import SilentSink, StageProgress
from backend.runtime_settings import in_force, recorded_reads
from bench.tiny_native.engine import TinyNative
from bench.tiny_native.runner import batched_stages, run_pipeline
from tests.conftest import draw_figure
from tests.meshes.solids import disc_mask

SIDE_PX, RESOLUTION = 128, 64
# 1e-4 of the box, which is about as many pixels wide as the picture.
TOLERANCE_PX = 1e-4 * SIDE_PX


def task(mask=None, **changes):
    picture = np.asarray(draw_figure(SIDE_PX))
    rgb = np.ascontiguousarray(picture[..., :3])
    own = picture[..., 3] > 127 if mask is None else mask
    return replace(ShapeTask(rgb, own, ShapeMode.AUTO, RESOLUTION), **changes)


def run(*tasks, sink=None):
    return TinyNative().run(tasks, StageProgress(sink or SilentSink(), "shape_generation"))


def gap_px(ours, theirs):
    """Largest distance of a corner of one surface to the nearest corner of the other."""
    one, other = (cKDTree(shape.mesh.vertices) for shape in (ours, theirs))
    return max(one.query(other.data)[0].max(), other.query(one.data)[0].max())


class StopAfter(SilentSink):
    def __init__(self, steps):
        self.seen, self._steps = [], steps

    def stage_progress(self, stage, step, steps):
        self.seen.append((step, steps))

    def is_canceled(self):
        return len(self.seen) >= self._steps


@pytest.fixture(scope="module")
def watched():
    """One run that several tests look at: its shape, the settings it read and what it told."""
    sink = StopAfter(10**6)
    with recorded_reads() as names:
        (shape,) = run(task(), sink=sink)
    return shape, names, sink.seen


@pytest.fixture(scope="module")
def doll(watched):
    return watched[0]


@pytest.fixture(scope="module")
def batch():
    """A disc, the doll, and the doll from another seed, made together."""
    return run(task(disc_mask(SIDE_PX, 40)), task(), task(seed=7))


def test_a_closed_surface_in_the_place_of_the_outline_comes_out(doll):
    rows, columns = np.nonzero(task().mask)
    assert doll.mesh.is_closed()
    assert doll.mesh.volume() > 0
    low, high = doll.mesh.vertices.min(0), doll.mesh.vertices.max(0)
    assert low[:2] == pytest.approx([columns.min(), rows.min()], abs=4)
    assert high[:2] == pytest.approx([columns.max(), rows.max()], abs=4)
    assert "random" in doll.notice


@pytest.mark.parametrize("mode", [ShapeMode.LATHE, ShapeMode.SLAB])
def test_deep_outlines_that_touch_the_edge_close_too(mode):
    mask = np.ones((40, 60), dtype=bool)
    rgb = np.zeros((40, 60, 3), dtype=np.uint8)
    (shape,) = run(task(mask, rgb=rgb, mode=mode, depth_scale=3.0))
    assert shape.mesh.is_closed()


def test_an_empty_outline_is_refused():
    with pytest.raises(NoSurfaceFound):
        run(task(np.zeros((SIDE_PX, SIDE_PX), dtype=bool)))


def test_the_networks_have_a_say_in_the_surface(doll):
    brighter = task(rgb=np.full((SIDE_PX, SIDE_PX, 3), 255, np.uint8))
    assert gap_px(run(brighter)[0], doll) > 20 * TOLERANCE_PX


def test_the_same_item_gives_the_same_shape_in_any_batch(doll, batch):
    disc, same, _ = batch
    assert gap_px(same, doll) < TOLERANCE_PX
    assert gap_px(disc, run(task(disc_mask(SIDE_PX, 40)))[0]) < TOLERANCE_PX


def test_items_of_one_picture_differ_by_their_seeds(batch):
    _, one, other = batch
    assert gap_px(other, one) > 20 * TOLERANCE_PX


@pytest.mark.parametrize(
    "values",
    [
        {"decode": "dense"},
        {"decode_chunk": 8192},
        {"cfg_batch": True},
        {"attention": "math"},
    ],
    ids=str,
)
def test_settings_do_not_change_the_shape(values, doll):
    with in_force(values):
        (shape,) = run(task())
    assert gap_px(shape, doll) < TOLERANCE_PX


def spans_of(**values):
    with in_force(values), record_pipeline("p") as trace, profile_stage("shape_generation"):
        run(task())
    return [span for span in trace.profile.spans if span.name != "warm_up"]


def test_the_record_tells_how_it_went_about_it():
    spans = {span.name: span for span in spans_of(decode="dense")}
    assert [span.name for span in spans.values() if span.kind is SpanKind.GPU] == [
        "denoise",
        "decode_volume",
    ]
    denoise, decode = (spans[name].attributes for name in ("denoise", "decode_volume"))
    loop = {"steps": 8, "fewer_steps": None, "forwards_per_step": 2}
    assert denoise["facts"]["loop"] == loop
    assert denoise["calls"] == 16
    assert denoise["facts"]["compiled"]["is_on"] is False
    assert denoise["facts"]["attention"]["calls"] == 16 * 6
    fact = decode["facts"]["decode"]
    assert fact["queries"] == (RESOLUTION + 1) ** 3 > 1.5 * fact["hierarchical_queries"]
    assert fact["same_surface"] is True
    assert decode["flop"] > 0


def test_joint_guidance_asks_half_as_often_for_as_much_work():
    twice, once = (
        next(span.attributes for span in spans_of(cfg_batch=value) if span.name == "denoise")
        for value in (False, True)
    )
    assert (twice["calls"], once["calls"]) == (16, 8)
    assert twice["flop"] == once["flop"]
    assert once["facts"]["loop"]["forwards_per_step"] == 1


def test_it_reads_every_setting_of_networks(watched):
    _, names, _ = watched
    assert names == {"attention", "compile_models", "decode", "decode_chunk", "cfg_batch"}


def test_it_reports_steps_and_stops_when_asked(watched):
    _, _, seen = watched
    assert [step for step, _ in seen] == sorted(step for step, _ in seen)
    assert seen[-1] == (18, 18)
    for steps in (3, 10):
        with pytest.raises(JobCanceled):
            run(task(), sink=StopAfter(steps))


def test_the_runner_makes_whole_models_with_it(tmp_path):
    picture, out_dir = tmp_path / "in.png", tmp_path / "out"
    out_dir.mkdir()
    draw_figure(256).save(picture)
    params = ImageTo3DParams(preset="draft", seed=1)

    class Engines(SilentSink):
        found: dict[str, str] = {}  # noqa: RUF012

        def engine_chosen(self, role, engine):
            self.found[role] = engine

    sink = Engines()
    outcome = run_pipeline(
        "image_to_3d", PipelineRequest({"image": picture}, params, out_dir), sink
    )
    assert sink.found["shape"] == "tiny"
    assert outcome.facts["mesh"]["outline_iou"] > 0.9
    assert {file.name for file in outcome.outputs} >= {"model.glb"}
    stages = batched_stages("image_to_3d", params)
    assert (stages[0].stage, stages[0].engine.name) == ("shape_generation", "tiny")
    assert stages[0].engine.batches
