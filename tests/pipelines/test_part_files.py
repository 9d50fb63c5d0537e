from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest
import trimesh
from PIL import Image

from backend.errors import JobCanceled
from backend.meshes.closed_part import ClosedPart, ClosingMethod
from backend.meshes.part_colors import palette, rgb_of
from backend.meshes.reading.read_mesh import read_mesh
from backend.pipelines import part_files
from backend.pipelines.part_division import Division, divided_as
from backend.pipelines.part_files import PartFiles, completion_facts
from backend.progress import StageProgress
from tests.meshes.source_shapes import ball_of_face, textured_box, three_balls
from tests.pipelines.scripted_parts import (
    ScriptedSegmentation,
    small_pictures,  # noqa: F401
)
from tests.pipelines.test_image_to_3d import NotingSink


def write(division, folder, completed=None, sink=None):
    sink = sink or NotingSink()
    files = PartFiles(division, completed).write(folder, StageProgress(sink, "mesh_export"))
    return {file.name: file for file in files}, sink


def balls(count):
    mesh = three_balls(1)
    return Division(mesh, ScriptedSegmentation().tree(mesh), count, "scripted")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return write(balls(3), tmp_path_factory.mktemp("made"))


def test_all_files_are_there_with_their_roles(made):
    files, sink = made
    singles = {
        f"part_{part:02}.{kind}": (kind, f"part_{kind}")
        for part in range(3)
        for kind in ("glb", "stl")
    }
    assert {name: (file.format, file.role) for name, file in files.items()} == singles | {
        "parts.glb": ("glb", "parts"),
        "surface.glb": ("glb", "surface"),
        "exploded.glb": ("glb", "exploded"),
        "part_tree.json": ("json", "part_tree"),
        "part_tree.npz": ("npz", "part_tree_data"),
        "face_ids.npy": ("npy", "face_ids"),
        "boxes.json": ("json", "boxes"),
        "parts.zip": ("zip", "parts_zip"),
        "thumbnail.png": ("png", "thumbnail"),
    }
    assert all(file.path.stat().st_size > 100 for file in files.values())
    assert sink.steps == [("mesh_export", step, 5) for step in range(1, 6)]
    assert sink.warnings == []


def test_the_tree_document_lets_a_page_divide_the_surface_by_itself(made):
    files, _ = made
    tree = json.loads(files["part_tree.json"].path.read_text())
    assert (tree["version"], tree["count"], tree["suggested"], tree["fewest"]) == (1, 3, 3, 2)
    assert tree["palette"] == [*palette()[:6]]
    assert tree["merges"] == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert [part["name"] for part in tree["parts"]] == ["part_00", "part_01", "part_02"]
    assert [part["color"] for part in tree["parts"]] == tree["palette"][:3]
    middle = tree["parts"][1]
    assert middle["faces"] == 80
    assert middle["closed"] is True
    assert middle["volume"] == pytest.approx(np.pi / 6, rel=0.2)
    assert middle["centre"] == pytest.approx([2, 0, 0], abs=1e-5)
    assert "method" not in middle, "nothing was completed"
    patches = tree["patches"]
    assert sum(patches["faces"][2:4]) == middle["faces"]
    assert sum(patches["areas"][2:4]) == pytest.approx(middle["area"], rel=1e-5)
    assert patches["boxes"][2][:3] == middle["box"][0]


def test_faces_and_patches_are_given_in_the_order_of_the_mesh(made):
    files, _ = made
    mesh = three_balls(1)
    ids = np.load(files["face_ids.npy"].path)
    assert ids.dtype == np.dtype("<i4")
    assert (ids == ball_of_face(mesh)).all()
    data = np.load(files["part_tree.npz"].path)
    assert (data["face_patches"] // 2 == ids).all()
    assert data["face_patches"].dtype == np.dtype("<i4")
    boxes = json.loads(files["boxes.json"].path.read_text())
    assert [box["name"] for box in boxes] == ["part_00", "part_01", "part_02"]
    assert boxes[2]["box"][1] == pytest.approx([4.5, 0.5, 0.5], abs=0.05)


def test_parts_open_in_other_programs_and_the_outer_ones_move_apart(made):
    files, _ = made
    whole = trimesh.load(files["parts.glb"].path)
    assert sorted(whole.geometry) == ["part_00", "part_01", "part_02"]
    assert whole.bounds[:, 0] == pytest.approx([-0.5, 4.5], abs=1e-5)
    apart = trimesh.load(files["exploded.glb"].path)
    assert apart.bounds[:, 0] == pytest.approx([-0.5 - 0.7 * 2, 4.5 + 0.7 * 2], abs=1e-5)
    stl = trimesh.load(files["part_01.stl"].path)
    assert stl.is_watertight
    assert stl.centroid == pytest.approx([2, 0, 0], abs=1e-5)
    assert len(read_mesh(files["part_02.glb"].path).faces) == 80


def test_the_archive_holds_the_single_files(made):
    files, _ = made
    with zipfile.ZipFile(files["parts.zip"].path) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == sorted(name for name in files if name.startswith("part_0"))
        assert archive.read("part_01.stl") == files["part_01.stl"].path.read_bytes()


def test_the_picture_shows_the_colors_of_the_parts(made):
    files, _ = made
    picture = np.asarray(Image.open(files["thumbnail.png"].path)).astype(float)
    shown = picture[picture[..., 3] == 255][:, :3]
    hues = shown / np.linalg.norm(shown, axis=1, keepdims=True)
    for color in palette()[:3]:
        wanted = np.array(rgb_of(color)) / np.linalg.norm(rgb_of(color))
        assert (hues @ wanted > 0.998).mean() > 0.1


def test_the_same_division_gives_the_same_bytes(made, tmp_path):
    files, _ = made
    again, _ = write(balls(3), tmp_path)
    for name in ("parts.glb", "surface.glb", "parts.zip", "part_tree.json"):
        assert again[name].path.read_bytes() == files[name].path.read_bytes(), name


def test_parts_that_were_cut_open_have_no_volume(tmp_path):
    files, _ = write(balls(6), tmp_path)
    parts = json.loads(files["part_tree.json"].path.read_text())["parts"]
    assert [part["closed"] for part in parts] == [False] * 6
    assert [part["volume"] for part in parts] == [None] * 6


def test_completed_parts_tell_how_they_were_closed(tmp_path):
    division = balls(3)
    meshes = [division.mesh.selected(division.face_parts == part) for part in range(3)]
    completed = [
        ClosedPart(0, meshes[0], ClosingMethod.CAP, 0.5),
        ClosedPart(1, meshes[1], ClosingMethod.THICKENED, 0.1, "It was a sheet."),
        ClosedPart(2, meshes[2], ClosingMethod.OPEN, None, "It stays open."),
    ]
    files, _ = write(division, tmp_path, completed)
    parts = json.loads(files["part_tree.json"].path.read_text())["parts"]
    assert [part["method"] for part in parts] == ["cap", "thickened", "open"]
    assert [part["volume"] for part in parts] == [0.5, 0.1, None]
    assert [part["closed"] for part in parts] == [True, True, False]
    assert parts[1]["notice"] == "It was a sheet."
    assert completion_facts("capper", completed) == {
        "engine": "capper",
        "closed": 2,
        "methods": {"cap": 1, "open": 1, "thickened": 1},
        "notices": {"part_01": "It was a sheet.", "part_02": "It stays open."},
    }


def test_many_parts_come_in_the_archive_only_and_that_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(part_files, "MOST_SINGLE", 2)
    files, sink = write(balls(3), tmp_path)
    assert not [name for name in files if name.startswith("part_0")]
    assert not [*tmp_path.glob("part_0*")], "nothing is left beside"
    with zipfile.ZipFile(files["parts.zip"].path) as archive:
        assert len(archive.namelist()) == 6
    assert "3 parts" in sink.warnings[0]


def test_large_textures_are_not_repeated_for_each_part(tmp_path, monkeypatch):
    mesh = textured_box()
    division = divided_as(mesh, (np.arange(12) // 6).astype(np.int32))
    kept, _ = write(division, tmp_path)
    assert "part_00.glb" in kept
    monkeypatch.setattr(part_files, "MOST_REPEATED_MB", 0.0)
    files, sink = write(division, tmp_path)
    assert "part_00.glb" not in files
    assert "part_00.stl" in files
    assert "parts.glb holds all" in sink.warnings[0]


def test_a_patch_without_faces_is_no_node(tmp_path):
    mesh = three_balls(1)
    tree = divided_as(mesh, 2 * ball_of_face(mesh)).tree
    files, _ = write(Division(mesh, tree, tree.patch_count, "scripted"), tmp_path)
    assert sorted(trimesh.load(files["parts.glb"].path).geometry) == [
        "part_00",
        "part_02",
        "part_04",
    ]
    assert json.loads(files["part_tree.json"].path.read_text())["parts"][1]["faces"] == 0
    offsets = trimesh.load(files["exploded.glb"].path).bounds[:, 0]
    assert offsets == pytest.approx([-1.9, 5.9], abs=1e-4)


def test_parts_that_an_engine_left_out_stay_as_they_were_given(tmp_path):
    division = balls(3)
    last = division.mesh.selected(division.face_parts == 2)
    files, _ = write(division, tmp_path, [ClosedPart(2, last, ClosingMethod.WAS_CLOSED, 0.5)])
    parts = json.loads(files["part_tree.json"].path.read_text())["parts"]
    assert [part.get("method") for part in parts] == [None, None, "was_closed"]
    shown = ["part_00", "part_01", "part_02"]  # the first two as they were given
    assert sorted(trimesh.load(files["exploded.glb"].path).geometry) == shown
    assert trimesh.load(files["exploded.glb"].path).bounds[1, 0] == pytest.approx(5.9, abs=1e-4)


def test_writing_stops_when_asked(tmp_path):
    with pytest.raises(JobCanceled):
        write(balls(3), tmp_path, sink=NotingSink(stop_after=2))
    assert not (tmp_path / "thumbnail.png").exists()
