"""The command that colours a mesh, in this process, with a scripted engine."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
import trimesh
from PIL import Image

from backend.cli.main import main
from backend.pipelines import catalogue, model_files
from tests.conftest import draw_figure
from tests.meshes.solids import box
from tests.pipelines.scripted_textures import ScriptedTexture, texture_registry
from tests.web.meshes import without_child  # noqa: F401

pytestmark = pytest.mark.usefixtures("without_child")


@pytest.fixture(autouse=True)
def engine(monkeypatch):
    """Run a scripted engine."""
    made = ScriptedTexture()
    monkeypatch.setattr(catalogue, "default_registry", lambda: texture_registry(made))
    monkeypatch.setattr(model_files, "THUMBNAIL_PX", 48)
    return made


@pytest.fixture
def given(tmp_path):
    """A mesh and a picture of it."""
    solid = box((0.5, 1.0, 0.3))
    trimesh.Trimesh(solid.vertices, solid.faces, process=False).export(tmp_path / "box.stl")
    draw_figure(64).save(tmp_path / "front.png")
    return [str(tmp_path / "box.stl"), str(tmp_path / "front.png")]


def test_a_mesh_and_a_picture_become_a_folder(tmp_path, given, engine, capsys):
    out = tmp_path / "new" / "coloured"
    left = ["--left", given[1]]
    chosen = [
        "--preset",
        "draft",
        "--size",
        "256",
        "--seed",
        "3",
        "--back-side",
        "plain",
        "--front=-x",
    ]
    assert main(["texture", *given, "--out", str(out), *left, *chosen]) == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "albedo.png", "metallic.png", "model.glb", "model_obj.zip", "normal.png", "roughness.png",
    ]  # fmt: skip
    (task,) = engine.tasks
    assert (task.size_px, task.seed, task.back_side, len(task.references)) == (256, 3, "plain", 2)
    assert np.asarray(Image.open(out / "albedo.png")).shape == (16, 32, 3)
    sizes = np.ptp(task.mesh.vertices, axis=0)
    assert sizes == pytest.approx([0.3, 1.0, 0.5], abs=1e-6), "seen along -X"
    data = (out / "model.glb").read_bytes()
    document = json.loads(data[20 : 20 + struct.unpack_from("<I", data, 12)[0]])
    assert len(document["images"]) == 2
    shown = capsys.readouterr().err
    assert "Texture of 32 x 16 px (outlines agree: front" in shown
    assert "seed 3" in shown


def test_what_is_missing_or_unknown_is_explained(tmp_path, given, capsys):
    mesh, _ = given
    assert main(["texture", mesh, "nowhere.png", "-o", str(tmp_path / "out")]) == 1
    assert "nowhere.png" in capsys.readouterr().err
    assert main(["texture", *given, "-o", str(tmp_path / "out"), "-p", "view_px=100"]) == 1
    assert "view_px" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_mask_of_another_shape_is_refused(tmp_path, given, capsys):
    Image.new("L", (128, 64), 255).save(tmp_path / "mask.png")
    arguments = ["texture", *given, "-o", str(tmp_path / "out"), "--mask"]
    assert main([*arguments, str(tmp_path / "mask.png")]) == 1
    assert "mask" in capsys.readouterr().err
