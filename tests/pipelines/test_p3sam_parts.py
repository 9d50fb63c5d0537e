"""A tiny P3-SAM in its published layout, from the files of a job to the files of its result."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import trimesh

from backend.catalog import SegmentPartsParams
from backend.engines import p3sam_effort
from backend.engines.builtin import default_registry
from backend.engines.cloud_features import forget_features
from backend.errors import CheckpointConfigInvalid, EngineUnavailable, MeshkilnError
from backend.meshes.source_glb import write_source_mesh
from backend.models.checkpoints.acceptance import Acceptances
from backend.models.checkpoints.catalogue import model_of
from backend.pipelines.pipeline import PipelineRequest
from backend.pipelines.segment_parts import SegmentPartsPipeline
from backend.residency import process
from backend.residency.process import current_residency
from backend.units import SystemClock
from tests.meshes.source_shapes import textured_box
from tests.models.checkpoints.tiny_part_checkpoints import write_tiny_p3sam
from tests.pipelines.scripted_parts import small_pictures  # noqa: F401
from tests.pipelines.test_image_to_3d import NotingSink


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Folders of a server with a tiny model, and a textured mesh that was sent to it."""
    for name in ("MESHKILN_DATA_DIR", "MESHKILN_MODEL_PATH", "HY3DGEN_MODELS", "HF_HUB_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setattr(process, "_current", None)
    monkeypatch.setitem(p3sam_effort._SIZES, "draft", (500, 16))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    write_tiny_p3sam(tmp_path / "MESHKILN_MODEL_PATH")
    clock = SystemClock()
    Acceptances(tmp_path / "MESHKILN_DATA_DIR" / "models", clock).accept(model_of("p3-sam"))
    write_source_mesh(textured_box(), tmp_path / "mesh.glb")
    yield tmp_path
    torch.set_num_threads(threads)
    current_residency().close()
    forget_features()


def run(server, **params):
    folder = server / "out"
    folder.mkdir()
    sink = NotingSink()
    request = PipelineRequest(
        {"mesh": server / "mesh.glb"}, SegmentPartsParams(seed=3, **params), folder
    )
    outcome = SegmentPartsPipeline(default_registry()).run(request, sink)
    return outcome, {file.name: file.path for file in outcome.outputs}, sink


def test_a_textured_mesh_becomes_parts_with_their_textures(server):
    outcome, files, sink = run(server)
    facts = outcome.facts["parts"]
    assert sink.engines == {"segmentation": "p3sam"}
    assert (facts["engine"], facts["model"], facts["points"]) == ("p3sam", "p3-sam", 500)
    assert facts["fewest"] <= facts["count"] <= facts["most"]
    assert "There is no GPU here" in sink.warnings[0]
    ids = np.load(files["face_ids.npy"])
    assert ids.shape == (12,)
    assert set(ids) == set(range(facts["count"]))
    tree = json.loads(files["part_tree.json"].read_text())
    assert (tree["suggested"], tree["count"]) == (facts["suggested"], facts["count"])
    scene = trimesh.load(files["parts.glb"])
    assert len({name.split("_piece")[0] for name in scene.geometry}) == facts["count"]
    textures = [part.visual.material.baseColorTexture for part in scene.geometry.values()]
    assert any(texture is not None for texture in textures)
    assert json.dumps(outcome.facts)


def test_sizes_that_are_asked_for_are_taken_without_a_word(server):
    outcome, _, sink = run(server, points=2_000, prompts=16, post_process=False, threshold=0.8)
    facts = outcome.facts["parts"]
    assert (facts["points"], facts["prompts"], facts["post_process"]) == (2_000, 16, False)
    assert not any("GPU" in warning for warning in sink.warnings)


def test_a_number_of_parts_and_a_granularity_choose_along_its_merges(server):
    outcome, files, _ = run(server, part_count=1)
    facts = outcome.facts["parts"]
    assert facts["count"] == facts["fewest"]
    assert len(np.unique(np.load(files["face_ids.npy"]))) == facts["count"]


def test_without_its_weights_it_says_what_is_missing(server):
    for file in (server / "MESHKILN_MODEL_PATH").rglob("*.safetensors"):
        file.unlink()
    with pytest.raises(EngineUnavailable, match="p3sam"):
        run(server, engine="p3sam")


def test_a_file_of_another_network_is_told_as_what_it_is(server):
    def fewer(state):
        state.pop("seg_mlp_1.0.weight")

    write_tiny_p3sam(server / "MESHKILN_MODEL_PATH", change_state=fewer)
    with pytest.raises(MeshkilnError, match="seg_mlp_1"):
        run(server)


def test_a_description_of_no_network_is_told_as_what_it_is(server):
    def wrong(config):
        config["params"]["hidden"] = 0

    write_tiny_p3sam(server / "MESHKILN_MODEL_PATH", change_config=wrong)
    with pytest.raises(CheckpointConfigInvalid):
        run(server)
