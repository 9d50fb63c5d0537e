"""The engine on tiny random weights in the published layout: its parts are noise."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from backend.catalog import Preset, SegmentPartsParams
from backend.engines import p3sam_effort, segmentation_steps
from backend.engines.builtin import default_registry
from backend.engines.cloud_features import features_for, forget_features, kept_features
from backend.engines.engine import Role
from backend.engines.model_networks import networks_of
from backend.engines.p3sam import NO_AREA, P3SamParts
from backend.engines.part_tasks import SegmentationTask, SegmentationWishes
from backend.errors import EngineUnavailable, JobCanceled, WeightsDamaged
from backend.models.checkpoints.acceptance import FILE_NAME, Acceptances
from backend.models.checkpoints.catalogue import model_of
from backend.models.checkpoints.checkpoint import Component
from backend.models.p3sam.mask_selection import NOTICES, SelectedMasks
from backend.profiling.recorder import record_pipeline
from backend.progress import StageProgress
from backend.residency import process
from backend.residency.process import current_residency
from backend.units import SystemClock
from tests.engines.counting_sink import CountingSink
from tests.meshes.source_shapes import ball_of_face, textured_box, three_balls
from tests.models.checkpoints.tiny_part_checkpoints import write_tiny_p3sam

POINTS, PROMPTS = 800, 24
WISHES = SegmentationWishes(points=POINTS, prompts=PROMPTS)


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Tiny networks only wait for threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """A server whose folders are its own."""
    for name, folder in (
        ("MESHKILN_DATA_DIR", "data"),
        ("MESHKILN_MODEL_PATH", "own"),
        ("HY3DGEN_MODELS", "authors"),
        ("HF_HUB_CACHE", "cache"),
        ("HOME", "home"),
    ):
        monkeypatch.setenv(name, str(tmp_path / folder))
    monkeypatch.setattr(process, "_current", None)
    forget_features()
    yield tmp_path
    current_residency().close()
    forget_features()


@pytest.fixture
def model(folders):
    """A server with a tiny P3-SAM; returns its folders."""
    write_tiny_p3sam(folders / "own")
    Acceptances(folders / "data" / "models", SystemClock()).accept(model_of("p3-sam"))
    return folders


def task(mesh=None, seed=1, **wishes):
    return SegmentationTask(mesh or three_balls(1), seed, replace(WISHES, **wishes))


def run(*tasks, sink=None):
    return P3SamParts().run(tasks, StageProgress(sink or CountingSink(10_000), "part_segmentation"))


def stages_of(*tasks):
    with record_pipeline("job") as trace:
        run(*tasks)
    return [(span.name, span.attributes or {}) for span in trace.profile.spans]


def came_from_cache(*tasks):
    """Whether the points of the only task were described already."""
    noted = dict(stages_of(*tasks))
    return noted["encode_points"]["from_cache"]


def partition(labels):
    return {tuple(np.flatnonzero(labels == label)) for label in np.unique(labels)}


@pytest.mark.usefixtures("model")
def test_every_face_of_a_mesh_has_a_part_and_a_patch():
    (found,) = run(task())
    tree = found.tree
    assert len(tree.face_patches) == len(three_balls(1).faces)
    assert set(tree.face_patches) == set(range(tree.patch_count))
    parts = tree.face_parts(tree.suggested)
    assert len(np.unique(parts)) == tree.suggested >= 1
    assert tree.patch_count >= tree.suggested >= tree.fewest


@pytest.mark.usefixtures("model")
def test_parts_are_told_of_the_faces_of_a_textured_mesh_in_their_order():
    """Vertices along its seams lie there twice, and nothing of it is changed."""
    mesh = textured_box()
    before = mesh.vertices.copy(), mesh.faces.copy(), mesh.uvs.copy()
    (found,) = run(task(mesh))
    assert len(found.tree.face_patches) == len(mesh.faces) == 12
    for array, kept in zip((mesh.vertices, mesh.faces, mesh.uvs), before, strict=True):
        assert (array == kept).all()
    assert found.tree.face_patches.dtype == np.int32


@pytest.mark.usefixtures("model")
def test_parts_are_those_of_the_points_on_the_faces_whatever_their_order(monkeypatch):
    """With masks that tell the three balls apart."""
    mesh = three_balls(1)
    order = np.random.default_rng(0).permutation(len(mesh.faces))
    mesh = replace(mesh, faces=np.ascontiguousarray(mesh.faces[order]))
    balls = ball_of_face(mesh)

    def by_ball(masks, points):
        cloud = features_for(mesh, POINTS, 1, networks_of("p3-sam"))
        labels = balls[cloud.samples.faces].astype(np.int64)
        ranks = np.arange(3)
        return SelectedMasks(labels, ranks, np.arange(PROMPTS), ranks, 1)

    monkeypatch.setattr(segmentation_steps, "select_masks", by_ball)
    (found,) = run(task(mesh))
    assert found.tree.suggested == found.tree.fewest == 3
    assert partition(found.tree.face_parts(3)) == partition(balls)
    assert found.notice == NOTICES[1]


@pytest.mark.usefixtures("model")
def test_the_job_learns_what_it_was_made_with():
    (found,) = run(task(threshold=0.9, post_process=False))
    facts = found.facts
    assert facts["model"] == "p3-sam"
    assert (facts["points"], facts["prompts"], facts["threshold"]) == (POINTS, PROMPTS, 0.9)
    assert facts["post_process"] is False
    assert facts["precision"] == "float32"
    assert facts["licence"] == "tencent-hunyuan3d-part"
    assert facts["masks_kept"] >= 1


@pytest.mark.usefixtures("model")
def test_one_seed_one_result_whether_its_features_were_kept_or_not():
    first = run(task())[0].tree
    known = run(task())[0].tree
    forget_features()
    again = run(task())[0].tree
    for other in (known, again):
        assert (other.face_patches == first.face_patches).all()
        assert (other.merges == first.merges).all()
        assert other.costs == pytest.approx(first.costs)


@pytest.mark.usefixtures("model")
def test_a_second_look_at_a_mesh_skips_the_encoder_and_says_so():
    first = stages_of(task())
    assert dict(first)["encode_points"]["from_cache"] is False
    assert "sample_surface" in dict(first)
    second = stages_of(task(prompts=30, threshold=0.8))
    assert dict(second)["encode_points"]["from_cache"] is True
    names = [name for name, _ in second]
    assert [name for name in names if name not in ("load_model", "warm_up")] == [
        "encode_points", "predict_masks", "select_masks", "label_faces",
    ]  # fmt: skip


@pytest.mark.usefixtures("model")
def test_other_points_another_seed_or_another_mesh_are_looked_at_anew():
    run(task())
    for other in (task(points=900), task(seed=2), task(mesh=textured_box())):
        assert not came_from_cache(other)
        assert came_from_cache(other)


def test_features_of_old_weights_are_not_taken_for_those_of_new_ones(model):
    before = run(task())[0]

    def other(state):
        for name in state:
            if name.startswith("mlp.") and name.endswith("bias"):
                state[name] += 1

    write_tiny_p3sam(model / "own", change_state=other)
    assert not came_from_cache(task())
    assert before.facts["geometry"] == run(task())[0].facts["geometry"]


@pytest.mark.usefixtures("model")
def test_who_wants_no_memory_spent_on_it_looks_anew_each_time(monkeypatch):
    monkeypatch.setenv("MESHKILN_FEATURE_CACHE_MB", "0")
    assert [came_from_cache(task()) for _ in range(2)] == [False, False]


@pytest.mark.usefixtures("model")
def test_what_is_kept_can_be_found_by_who_knows_the_surface_by_name():
    networks = networks_of("p3-sam")
    cloud = features_for(three_balls(1), POINTS, 5, networks)
    assert kept_features(cloud.geometry, POINTS, 5, networks) is cloud
    assert kept_features(cloud.geometry, POINTS, 6, networks) is None
    features, shifted = cloud.on(torch.device("cpu"))
    assert features.shape == (POINTS, 16)
    assert shifted[:, 2].min() == 0  # the heads were trained with z from 0
    assert float(shifted[:, 0].max()) == pytest.approx(1, abs=1e-6)
    assert cloud.size_bytes > features.nbytes


@pytest.mark.usefixtures("model")
def test_a_batch_comes_back_in_order_each_as_if_it_were_alone():
    box, balls = task(textured_box(), seed=3), task(prompts=20)
    alone = [run(one)[0] for one in (box, balls)]
    together = run(box, balls)
    for one, other in zip(alone, together, strict=True):
        assert partition(one.tree.face_patches) == partition(other.tree.face_patches)
        assert one.facts == other.facts


@pytest.mark.usefixtures("model")
def test_progress_counts_prompts_and_rises_to_the_end_of_the_batch():
    sink = CountingSink(10_000)
    run(task(), task(seed=2), sink=sink)
    done = [step for step, _ in sink.seen]
    assert len({steps for _, steps in sink.seen}) == 1
    assert done == sorted(done)
    assert done[-1] == sink.seen[-1][1]
    assert len(set(done)) >= 2 * PROMPTS // 8


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize("after", [1, 3, 5])
def test_it_stops_between_prompts_and_leaves_nothing_leased(after):
    with pytest.raises(JobCanceled):
        run(task(), sink=CountingSink(after))
    assert {one["leases"] for one in current_residency().status()["models"]} <= {0}
    assert run(task())[0].tree.suggested >= 1


def hooks_of_segmenter():
    with networks_of("p3-sam").lease(Component.SEGMENTER) as network:
        return [list(each._forward_pre_hooks) for each in network.modules()]


@pytest.mark.usefixtures("model")
def test_it_stops_between_blocks_of_the_encoder_and_leaves_no_trace_in_it():
    before = hooks_of_segmenter()
    with pytest.raises(JobCanceled):
        run(task(), sink=CountingSink(3))
    assert hooks_of_segmenter() == before
    assert not came_from_cache(task())


@pytest.mark.usefixtures("model")
def test_what_another_thread_encodes_meanwhile_is_not_told_to_this_one():
    told, failed = [], []

    def other():
        try:
            features_for(textured_box(), POINTS, 1, networks_of("p3-sam"))
        except JobCanceled as error:
            failed.append(error)

    def tell(share):
        told.append(share)
        if len(told) == 2:
            thread = threading.Thread(target=other)
            thread.start()
            thread.join()

    features_for(three_balls(1), POINTS, 1, networks_of("p3-sam"), tell)
    assert told == sorted(set(told))
    assert told[0] == 0
    assert not failed


@pytest.mark.usefixtures("model")
def test_without_a_gpu_the_sizes_of_a_draft_are_taken_and_that_is_said(monkeypatch):
    monkeypatch.setitem(p3sam_effort._SIZES, Preset.DRAFT, (POINTS, PROMPTS))
    (found,) = run(task(points=None, prompts=None))
    assert (found.facts["points"], found.facts["prompts"]) == (POINTS, PROMPTS)
    assert "There is no GPU here" in found.notice


@pytest.mark.usefixtures("model")
def test_a_mesh_without_any_area_is_one_part():
    mesh = three_balls(1)
    flat = replace(mesh, vertices=np.zeros_like(mesh.vertices))
    (found,) = run(task(flat))
    assert found.notice == NO_AREA
    assert set(found.tree.face_patches) == {0}
    assert len(found.tree.face_patches) == len(mesh.faces)


@pytest.mark.parametrize("broken", ["mlp.4.weight", "iou_mlp.0.bias", "seg_s2_mlp_1.0.bias"])
def test_weights_that_are_no_numbers_do_not_count_as_nothing_found(model, broken):
    def spoil(state):
        (name,) = (name for name in state if name.startswith(broken))
        state[name] *= float("nan")

    write_tiny_p3sam(model / "own", change_state=spoil)
    with pytest.raises(WeightsDamaged, match=r"p3sam\.safetensors"):
        run(task())


@pytest.mark.usefixtures("folders")
def test_without_weights_the_built_in_engine_is_chosen_and_the_other_says_why():
    assert "models list" in P3SamParts().available()
    registry = default_registry()
    assert registry.choose(Role.SEGMENTATION).name == "line_of_sight_parts"
    with pytest.raises(EngineUnavailable, match="p3sam: no weights"):
        registry.choose(Role.SEGMENTATION, "p3sam")


def test_its_licence_has_to_be_accepted(model):
    assert P3SamParts().available() is None
    assert default_registry().choose(Role.SEGMENTATION).name == "p3sam"
    (model / "data" / "models" / FILE_NAME).unlink()
    assert "licence" in P3SamParts().available()
    assert "backend models accept p3-sam" in P3SamParts().available()


def test_jobs_cost_by_how_closely_they_look_and_batch_by_everything():
    engine = P3SamParts()
    one, other = SegmentPartsParams(seed=1), SegmentPartsParams(seed=2, threshold=0.9)
    assert engine.cost_key(one) == engine.cost_key(other)
    assert engine.cost_key(one) != engine.cost_key(SegmentPartsParams(prompts=100))
    assert engine.cost_key(one) != engine.cost_key(SegmentPartsParams(preset=Preset.DRAFT))
    assert engine.batch_key(one) != engine.batch_key(other)
    assert engine.batch_key(one) == engine.batch_key(SegmentPartsParams(seed=5))
