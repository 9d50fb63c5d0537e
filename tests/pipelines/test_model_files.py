from __future__ import annotations

import threading

import pytest
import trimesh

from backend.catalog import StageName
from backend.errors import MeshInvalid
from backend.meshes.triangle_mesh import TriangleMesh
from backend.pipelines import model_files
from backend.pipelines.model_files import write_model_files
from backend.profiling.recorder import record_pipeline
from backend.progress import StageProgress
from backend.runtime_settings import in_force
from tests.pipelines.test_image_to_3d import NotingSink


@pytest.fixture
def ball():
    sphere = trimesh.creation.icosphere(subdivisions=2)
    return TriangleMesh(sphere.vertices.astype("float32"), sphere.faces.astype("int32"))


def written(ball, folder, threads):
    folder.mkdir()
    progress = StageProgress(NotingSink(), StageName.MESH_EXPORT)
    with in_force({"export_threads": threads}), record_pipeline("test") as trace:
        files = write_model_files(ball, None, folder, progress)
    return {file.name: file.path.read_bytes() for file in files}, trace.profile


def test_threads_write_the_same_bytes(ball, tmp_path):
    alone, profile = written(ball, tmp_path / "1", 1)
    together, threaded = written(ball, tmp_path / "4", 4)
    assert alone == together
    names = {"write_thumbnail", "write_obj", "write_glb", "write_stl", "write_ply"}
    for each in (profile, threaded):
        assert {span.name for span in each.spans} == names
    assert len({span.thread for span in profile.spans}) == 1
    assert len({span.thread for span in threaded.spans}) > 1


@pytest.mark.parametrize("threads", [1, 2])
def test_a_glb_that_is_open_fails_the_stage(ball, tmp_path, threads):
    open_ball = TriangleMesh(ball.vertices, ball.faces[1:])
    with pytest.raises(MeshInvalid, match="not closed"):
        written(open_ball, tmp_path / "open", threads)


def test_no_thread_is_left_behind(ball, tmp_path, monkeypatch):
    monkeypatch.setattr(model_files, "write_stl", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        written(ball, tmp_path / "broken", 4)
    assert not [t for t in threading.enumerate() if t.name.startswith("export")]
