"""The names that scripts for one small GPU know, with tiny networks in this process."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh

from backend import hunyuan_integration, lazy_pipelines
from backend.engines import registry as engine_registry
from backend.errors import InvalidParameter, WeightsMissing
from backend.hunyuan_integration import generate, segment
from backend.lazy_pipelines import (
    LazyPartFormerPipeline,
    PrecisionMode,
    VRAMEfficientModelManager,
)
from backend.meshes.source_glb import write_source_mesh
from backend.residency.process import current_residency
from tests.engines.tiny_xpart import (
    fill_spaces,
    look_in,
    one_thread,  # noqa: F401
    write_weights,
)
from tests.meshes.source_shapes import three_balls
from tests.models.checkpoints.tiny_part_checkpoints import write_tiny_p3sam
from tests.pipelines.scripted_parts import small_pictures  # noqa: F401
from tests.web.meshes import without_child  # noqa: F401

FIRST, LAST = [[-0.6] * 3, [0.6] * 3], [[3.4, -0.6, -0.6], [4.6, 0.6, 0.6]]
QUICK = {"part_steps": 2, "part_cells": 64}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    root = write_weights(tmp_path_factory.mktemp("part_models"))
    write_tiny_p3sam(root / "own")
    return root


@pytest.fixture(autouse=True)
def server(weights, tmp_path, monkeypatch):
    """A process with both models, whose calls write inside the folder of the test."""
    look_in(weights, monkeypatch)
    monkeypatch.setenv("MESHKILN_PRECISION", "auto")
    monkeypatch.setenv("MESHKILN_WEIGHTS", "full")
    monkeypatch.setattr(hunyuan_integration.tempfile, "tempdir", str(tmp_path))
    fill_spaces(monkeypatch)
    yield
    current_residency().close()


@pytest.fixture
def mesh_path(tmp_path):
    write_source_mesh(three_balls(1), tmp_path / "balls.glb")
    return tmp_path / "balls.glb"


pytestmark = pytest.mark.usefixtures("without_child")


def test_nothing_is_loaded_before_the_first_call_and_nothing_stays_after_the_last(mesh_path):
    pipeline = LazyPartFormerPipeline(verbose=True)
    assert not pipeline.is_loaded
    boxes = np.array([FIRST, LAST])
    parts, (lines, apart) = pipeline(mesh_path, aabb=boxes, seed=3, **QUICK)
    assert sorted(parts.geometry) == ["part_00", "part_01", "part_02"]
    assert len(parts.geometry["part_02"].faces) == 80, "what is in no box comes last, as it was"
    assert len(lines.geometry) == 2
    assert np.ptp(apart.bounds[:, 0]) > np.ptp(parts.bounds[:, 0])
    assert pipeline.is_loaded
    assert set(pipeline.unload()) == {"x-part/conditioner", "x-part/denoiser", "x-part/vae"}
    assert not pipeline.is_loaded


def test_it_moves_off_the_device_and_back_ahead_of_a_call():
    pipeline = LazyPartFormerPipeline().to("cuda")
    manager = VRAMEfficientModelManager()
    assert manager.get_current_model_type() == "partformer"
    pipeline.to(torch.device("cpu"))
    assert manager.get_current_model_type() is None
    assert pipeline.is_loaded


def test_the_manager_leases_the_one_and_the_other():
    manager = VRAMEfficientModelManager()
    assert manager.get_current_model_type() is None
    with manager.get_p3sam_model() as network:
        assert sum(weight.numel() for weight in network.parameters()) > 1000
        assert manager.get_current_model_type() == "p3sam"
    with manager.get_partformer_pipeline() as pipeline:
        assert isinstance(pipeline, LazyPartFormerPipeline)
    told = manager.get_memory_usage_estimate()
    assert told["p3sam"]["networks"]["p3-sam/segmenter"] > 0
    assert set(told["partformer"]["networks"]) == {f"x-part/{part}" for part in (
        "conditioner", "denoiser", "vae"
    )}  # fmt: skip
    assert set(manager.unload_all_models().values()) == {"done"}
    assert manager.get_memory_usage_estimate()["p3sam"]["vram_mb"] == 0
    assert manager.get_current_model_type() is None


def test_a_precision_is_that_of_the_networks_loaded_next():
    manager = VRAMEfficientModelManager(PrecisionMode.BF16)
    assert _dtype_of("x-part/denoiser") is torch.bfloat16
    manager.set_precision_mode("fp32")
    assert _dtype_of("x-part/denoiser") is torch.float32
    LazyPartFormerPipeline(dtype=torch.bfloat16)
    assert _dtype_of("x-part/denoiser") is torch.bfloat16
    LazyPartFormerPipeline(enable_mixed_precision=False)
    assert _dtype_of("x-part/denoiser") is torch.float32
    manager.set_precision_mode("fp8")
    lazy_pipelines._register("x-part")
    with pytest.raises(InvalidParameter, match="'fp7'"):
        manager.set_precision_mode("fp7")


def _dtype_of(name):
    lazy_pipelines._register("x-part")
    with current_residency().manager().lease(name) as network:
        return next(network.parameters()).dtype


def test_without_weights_it_says_so(tmp_path):
    pipeline = LazyPartFormerPipeline(model_path=tmp_path / "empty")
    with pytest.raises(WeightsMissing):
        pipeline.to("cuda")
    with pytest.raises(WeightsMissing):
        VRAMEfficientModelManager().get_p3sam_model()


def test_the_calls_of_scripts_take_both_networks_where_they_are(mesh_path, monkeypatch):
    asked = []
    run = hunyuan_integration.catalogue.run_pipeline

    def noted(pipeline, request, sink):
        asked.append((request.params, sorted(request.inputs)))
        quick = {"points": 2000, "prompts": 16} if pipeline == "segment_parts" else {}
        quick |= QUICK if pipeline == "complete_parts" else {}
        quick = request.params.model_copy(update=quick)
        return run(pipeline, type(request)(request.inputs, quick, request.out_dir), sink)

    monkeypatch.setattr(hunyuan_integration.catalogue, "run_pipeline", noted)
    monkeypatch.setattr(engine_registry, "has_gpu", lambda settings: True)
    found = segment(mesh_path, postprocess=False, postprocess_threshold=0.3)
    assert (asked[0][0].post_process, asked[0][0].threshold) == (False, 0.5)
    assert asked[0][0].granularity == 1.0
    boxes = found[2][0][0] + 0.01  # somebody moved them
    parts, _, _ = generate(mesh_path, gr_state=(found[0], found[1], [(boxes, str(mesh_path))]))
    assert asked[1][1] == ["boxes", "face_ids", "mesh"]
    assert len(trimesh.load(parts).geometry) == len(np.unique(np.load(found[1])))
    parts, _, _ = generate(mesh_path, gr_state=[(np.array([FIRST, LAST]), str(mesh_path))])
    assert asked[2][1] == ["boxes", "mesh"]
    assert sorted(trimesh.load(parts).geometry) == ["part_00", "part_01", "part_02"]


def test_scripts_find_the_names_where_they_look_for_them():
    for name in ("LazyPartFormerPipeline", "VRAMEfficientModelManager", "PrecisionMode"):
        assert getattr(hunyuan_integration, name) is getattr(lazy_pipelines, name)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        hunyuan_integration.Nothing  # noqa: B018
