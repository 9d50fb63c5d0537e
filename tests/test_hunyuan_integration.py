from __future__ import annotations

import numpy as np
import pytest
import trimesh
from PIL import Image

from backend import hunyuan_integration
from backend.errors import InvalidParameter, MissingFile, UnsupportedMesh
from backend.hunyuan_integration import generate, generate_3d_model, get_3d_processor, segment
from backend.meshes.source_glb import write_source_mesh
from backend.performance_profiler import get_performance_profiler
from backend.pipelines import catalogue
from tests.conftest import draw_figure
from tests.meshes.source_shapes import ball_of_face, three_balls
from tests.pipelines.scripted_parts import (
    ScriptedSegmentation,
    scripted_registry,
    small_pictures,  # noqa: F401
)
from tests.web.meshes import without_child  # noqa: F401


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """Keep what calls write inside the folder of the test."""
    monkeypatch.setattr(hunyuan_integration.tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def scripted(monkeypatch):
    segmentation = ScriptedSegmentation()
    monkeypatch.setattr(catalogue, "default_registry", lambda: scripted_registry(segmentation))
    return segmentation


@pytest.fixture
def mesh_path(tmp_path):
    write_source_mesh(three_balls(1), tmp_path / "balls.glb")
    return str(tmp_path / "balls.glb")


@pytest.mark.usefixtures("without_child")
def test_segment_answers_as_scripts_expect(scripted, mesh_path):
    glb, face_ids, state = segment(mesh_path, postprocess=True)
    assert len(trimesh.load(glb).geometry) == 3
    assert (np.load(face_ids) == ball_of_face(three_balls(1))).all()
    [(boxes, path)] = state
    assert path == mesh_path
    assert boxes.shape == (3, 2, 3)
    assert boxes[:, :, 0].mean(axis=1) == pytest.approx([0, 2, 4], abs=1e-5)
    assert scripted.seeds == [42]


@pytest.mark.usefixtures("without_child")
def test_lower_thresholds_merge_more_and_no_postprocessing_merges_less(scripted, mesh_path):
    assert len(segment(mesh_path, postprocess_threshold=0.5)[2][0][0]) == 2
    assert len(segment(mesh_path, postprocess=False, seed=1)[2][0][0]) == 5
    assert scripted.seeds == [42, 1]
    with pytest.raises(InvalidParameter, match="between 0 and 1"):
        segment(mesh_path, postprocess_threshold=0)


@pytest.mark.usefixtures("without_child")
def test_generate_closes_the_parts_that_were_found(scripted, mesh_path):
    found = segment(mesh_path, postprocess_threshold=0.5)
    parts, boxes, exploded = generate(mesh_path, seed=42, gr_state=found)
    assert len(trimesh.load(parts).geometry) == 2
    assert len(trimesh.load(boxes).geometry) == 2
    wide, narrow = (np.ptp(trimesh.load(path).bounds[:, 0]) for path in (exploded, parts))
    assert wide > narrow + 1
    assert len(scripted.seeds) == 1, "the parts were not looked for again"


@pytest.mark.usefixtures("without_child")
def test_generate_takes_the_list_alone_or_nothing(scripted, mesh_path):
    boxes = np.zeros((5, 2, 3), dtype=np.float32)
    parts, _, _ = generate(mesh_path, gr_state=[(boxes, mesh_path)])
    assert len(trimesh.load(parts).geometry) == 5
    assert len(trimesh.load(generate(mesh_path)[0]).geometry) == 3


def test_what_cannot_be_read_is_an_error_and_never_a_placeholder(scripted, tmp_path):
    (tmp_path / "note.glb").write_text("hello")
    with pytest.raises(UnsupportedMesh):
        segment(tmp_path / "note.glb")
    with pytest.raises(MissingFile, match=r"gone\.glb"):
        generate(tmp_path / "gone.glb")
    with pytest.raises(MissingFile, match=r"gone\.png"):
        generate_3d_model(tmp_path / "gone.png")


def test_a_picture_becomes_a_mesh_and_a_profile_of_its_stages(tmp_path):
    draw_figure().save(tmp_path / "doll.png")
    mesh, profile = generate_3d_model(tmp_path / "doll.png", preset="draft", size_m=2.0)
    assert mesh.extents.max() == pytest.approx(2.0, rel=1e-3)
    assert isinstance(mesh.visual.material.baseColorTexture, Image.Image)
    assert profile.pipeline_id.startswith("gen_")
    assert {"image_preprocessing", "shape_generation", "mesh_export"} <= set(profile.stage_seconds)
    assert get_performance_profiler().pipeline_profiles[-1] is profile
    assert get_3d_processor() is get_3d_processor()


def test_pictures_may_be_in_memory():
    figure = draw_figure()
    data, name = hunyuan_integration._picture_bytes(figure)
    assert hunyuan_integration._picture_bytes(data) == (data, "picture")
    assert name.endswith(".png")
