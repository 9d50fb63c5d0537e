from __future__ import annotations

import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import trimesh

from backend.catalog import PIPELINES, PipelineName, PrepareMeshParams, parse_params
from backend.errors import BadInput, InvalidParameter, JobCanceled, UnusableMesh
from backend.meshes.mending.mesh_figures import measure_mesh
from backend.meshes.reading.read_mesh import read_mesh
from backend.meshes.source_glb import write_source_mesh
from backend.pipelines import model_files
from backend.pipelines.catalogue import batched_stages, run_pipeline
from backend.pipelines.pipeline import PipelineRequest
from tests.meshes.globe import globe, without_faces
from tests.meshes.source_shapes import three_balls
from tests.pipelines.test_image_to_3d import NotingSink


@pytest.fixture(autouse=True)
def small_picture(monkeypatch):
    monkeypatch.setattr(model_files, "THUMBNAIL_PX", 48)


@pytest.fixture
def torn_globe(tmp_path):
    write_source_mesh(without_faces(globe(), 500), tmp_path / "mesh.glb")
    return tmp_path / "mesh.glb"


def run(mesh, sink=None, **params):
    folder = mesh.parent / "out"
    folder.mkdir()
    sink = sink or NotingSink()
    request = PipelineRequest({"mesh": mesh}, PrepareMeshParams(**params), folder)
    outcome = run_pipeline("prepare_mesh", request, sink)
    return outcome, {file.role: file.path for file in outcome.outputs}, sink


def test_a_mesh_is_counted_mended_and_written_stage_by_stage(torn_globe):
    outcome, files, sink = run(torn_globe)
    stages = [*PIPELINES[PipelineName.PREPARE_MESH].stages]
    assert sink.started == stages
    assert [stage for stage, _ in sink.finished] == stages
    assert [*outcome.facts["timings_s"]] == stages
    assert sink.warnings == []
    assert set(files) == {"preview", "model", "mesh_report", "thumbnail"}
    report = json.loads(files["mesh_report"].read_text())
    assert report == outcome.facts["mesh_report"]
    assert (report["before"]["border_loops"], report["after"]["border_loops"]) == (1, 0)
    assert report["before"]["volume_m3"] is None
    assert [step["step"] for step in report["repair"] if step["changed"]] == ["fill_holes"]
    assert report["left"] == []
    assert report["decimation"] is None
    found = read_mesh(files["model"])
    assert measure_mesh(found).document() == report["after"]
    assert found.materials[0].texture is not None


def test_nothing_is_changed_unless_asked(torn_globe):
    outcome, files, _ = run(torn_globe, repair=False)
    report = outcome.facts["mesh_report"]
    assert report["repair"] is None
    assert report["after"] == report["before"]
    assert report["left"] == ["Open borders, of 3 edges in all: 1."]
    np.testing.assert_array_equal(read_mesh(files["model"]).faces, read_mesh(torn_globe).faces)


def test_faces_are_reduced_to_the_number_asked_for(torn_globe):
    outcome, files, sink = run(torn_globe, target_faces=300)
    report = outcome.facts["mesh_report"]
    assert report["decimation"]["asked"] == 300
    assert report["decimation"]["method"] == "seam_keeping"
    assert report["decimation"]["faces"] == len(read_mesh(files["model"]).faces) <= 300
    assert sink.warnings == []


def test_more_faces_than_asked_for_are_told(tmp_path):
    write_source_mesh(three_balls(1), tmp_path / "mesh.glb")
    outcome, _, sink = run(tmp_path / "mesh.glb", target_faces=4)
    faces = outcome.facts["mesh_report"]["after"]["faces"]
    assert faces > 4
    assert f"{faces:,} faces, more than the 4" in sink.warnings[0]


def test_a_unit_and_an_axis_are_read_and_written(torn_globe):
    outcome, files, sink = run(
        torn_globe, from_units="mm", from_up="z", units="in", up="z", format="stl"
    )
    report = outcome.facts["mesh_report"]
    assert report["read_as"] == {"unit": "mm", "up": "z", "not_read": []}
    assert report["before"]["extents_m"] == pytest.approx([0.002] * 3, rel=0.01)
    assert report["file"]["unit"] == "in"
    stl = trimesh.load(files["model_stl"])
    given = trimesh.Trimesh(read_mesh(torn_globe).vertices, read_mesh(torn_globe).faces)
    np.testing.assert_allclose(stl.bounds, given.bounds / 25.4, atol=1e-6)
    assert stl.volume > 0
    np.testing.assert_allclose(np.ptp(read_mesh(files["model"]).vertices, axis=0), 0.002, rtol=0.01)
    lost = "A file of the format STL has no textures, texture coordinates."
    assert sink.warnings == [lost]


@pytest.mark.parametrize("unit", ["mm", "in", "ft"])
def test_numbers_that_are_written_in_their_own_unit_are_not_rounded(torn_globe, unit):
    mesh = read_mesh(torn_globe)
    odd = replace(mesh, vertices=mesh.vertices * np.float32(37.3) + np.float32(12.34))
    write_source_mesh(odd, torn_globe)
    options = {"from_units": unit, "units": unit, "from_up": "z", "up": "z", "format": "stl"}
    _, files, _ = run(torn_globe, repair=False, **options)
    written = read_mesh(files["model_stl"])
    given = odd.vertices[odd.faces]
    np.testing.assert_array_equal(written.vertices[written.faces], given)


def test_what_was_not_read_of_the_file_is_told(torn_globe):
    write_source_mesh(read_mesh(torn_globe), torn_globe, ["normal maps", "animations"])
    outcome, _, sink = run(torn_globe)
    read_as = outcome.facts["mesh_report"]["read_as"]
    assert read_as["not_read"] == ["normal maps", "animations"]
    assert sink.warnings == ["Left behind from your file: normal maps, animations."]


def test_the_fixed_unit_of_glb_is_told(torn_globe):
    _, _, sink = run(torn_globe, units="mm")
    assert sink.warnings == [
        "GLB is in metres with Y up; the chosen unit and up-axis are not used."
    ]


def test_a_size_is_set_and_obj_comes_with_its_texture(torn_globe):
    outcome, files, _ = run(torn_globe, size_m=0.5, format="obj", units="cm")
    assert max(outcome.facts["mesh_report"]["after"]["extents_m"]) == pytest.approx(0.5)
    with zipfile.ZipFile(files["model_obj"]) as archive:
        assert "texture_0.png" in archive.namelist()
        text = archive.read("model.obj").decode()
    heights = [float(line.split()[2]) for line in text.splitlines() if line.startswith("v ")]
    assert max(heights) == pytest.approx(25, rel=0.01)


def test_a_damaged_mesh_fails_as_what_it_is(torn_globe):
    torn_globe.write_bytes(torn_globe.read_bytes()[:700])
    with pytest.raises(BadInput):
        run(torn_globe)


@pytest.mark.parametrize("scale", [1e-20, 1e11])
def test_a_mesh_of_absurd_size_is_refused_unless_a_size_is_named(tmp_path, scale):
    mesh = globe(8)
    absurd = replace(mesh, vertices=(mesh.vertices * scale).astype(np.float32))
    write_source_mesh(absurd, tmp_path / "mesh.glb")
    with pytest.raises(UnusableMesh) as caught:
        run(tmp_path / "mesh.glb")
    assert "another unit" in caught.value.advice
    (tmp_path / "out").rename(tmp_path / "before")
    outcome, _, _ = run(tmp_path / "mesh.glb", size_m=2, from_units="mm")
    assert outcome.facts["mesh_report"]["after"]["extents_m"] == pytest.approx([2, 2, 2])


@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_small_and_large_meshes_are_worked_with(tmp_path, scale):
    mesh = without_faces(globe(12), 100)
    scaled = replace(mesh, vertices=(mesh.vertices * scale).astype(np.float32))
    write_source_mesh(scaled, tmp_path / "mesh.glb")
    outcome, _, _ = run(tmp_path / "mesh.glb", target_faces=200, format="stl")
    after = outcome.facts["mesh_report"]["after"]
    assert after["is_watertight"]
    assert after["faces"] <= 200
    assert after["extents_m"] == pytest.approx([2 * scale] * 3, rel=0.05)


def test_it_stops_when_asked(torn_globe):
    with pytest.raises(JobCanceled):
        run(torn_globe, NotingSink(stop_after=0))


@pytest.mark.parametrize(
    "wrong",
    [{"format": "fbx"}, {"target_faces": 3}, {"units": "yd"}, {"up": "x"}, {"size_m": 0},
     {"hole_share": 2}, {"debris_share": -1}, {"seed": 1}],
)  # fmt: skip
def test_wrong_parameters_are_refused(wrong):
    with pytest.raises(InvalidParameter, match=next(iter(wrong))):
        parse_params("prepare_mesh", wrong)


def test_it_needs_no_device():
    assert batched_stages("prepare_mesh", PrepareMeshParams()) == []
