"""A mesh and pictures become the same mesh with a texture."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import trimesh
from PIL import Image

from backend.catalog import (
    PIPELINES,
    BackSide,
    ImageTo3DParams,
    PipelineName,
    TextureMeshParams,
    cost_key,
)
from backend.errors import EngineUnavailable, JobCanceled, MissingFile, NoForeground, UnusableMesh
from backend.meshes.glb_notes import SHAPE_MODE, shape_mode_in
from backend.meshes.masks import iou
from backend.meshes.outline_fit import turned_to_front
from backend.meshes.reading.read_mesh import read_mesh
from backend.meshes.render import covered_pixels
from backend.meshes.source_glb import write_source_mesh
from backend.meshes.source_mesh import Material, SourceMesh
from backend.pipelines import model_files, texture_mesh
from backend.pipelines.catalogue import batched_stages, run_pipeline
from backend.pipelines.pipeline import PipelineRequest
from backend.pipelines.texture_mesh import TextureMeshPipeline
from tests.meshes.glb_check import CheckedGlb
from tests.meshes.globe import globe
from tests.meshes.shiny import METAL, ROUGH
from tests.meshes.solids import box, sphere, together
from tests.meshes.source_shapes import textured_box, three_balls
from tests.pipelines.scripted_textures import ScriptedTexture, texture_registry
from tests.pipelines.test_image_to_3d import NotingSink

COLOUR = (200, 90, 40)
STAGES = [*PIPELINES[PipelineName.TEXTURE_MESH].stages]


def lamp() -> SourceMesh:
    """Taller than wide, its foot to the right; its vertices are those of the file."""
    solid = together(box((0.3, 1.0, 0.2), (0.0, 0.5, 0.0)), box((0.7, 0.1, 0.4), (0.2, 0.05, 0.1)))
    return SourceMesh.plain(solid)


def picture_of(mesh: SourceMesh, azimuth_deg: float = 0.0, side: int = 96) -> Image.Image:
    """The mesh in one colour on a transparent ground, small and off the middle."""
    from backend.meshes.frame import PictureFrame

    turned = turned_to_front(sphere().__class__(mesh.vertices, mesh.faces), azimuth_deg)
    low, high = turned.vertices.min(axis=0), turned.vertices.max(axis=0)
    per_px = float((high - low)[:2].max()) / (0.7 * side)
    frame = PictureFrame(
        0.4 * side - float(low[0] + high[0]) / 2 / per_px,
        0.45 * side + float(low[1] + high[1]) / 2 / per_px,
        per_px,
    )
    seen = covered_pixels(turned, frame, (side, side))
    pixels = np.zeros((side, side, 4), dtype=np.uint8)
    pixels[seen] = (*COLOUR, 255)
    return Image.fromarray(pixels)


@pytest.fixture(autouse=True)
def small_picture(monkeypatch):
    monkeypatch.setattr(model_files, "THUMBNAIL_PX", 48)
    effort = texture_mesh.EFFORTS["draft"]
    monkeypatch.setattr(texture_mesh, "EFFORTS", {"draft": replace(effort, working_px=128)})


def run(folder, mesh, pictures=None, engine=None, sink=None, notes=None, **params):
    """Run the pipeline with an engine of the test; pictures by role."""
    folder.mkdir(exist_ok=True)
    write_source_mesh(mesh, folder / "mesh.glb")
    if notes:
        add_notes(folder / "mesh.glb", notes)
    inputs = {"mesh": folder / "mesh.glb"}
    for role, picture in (pictures or {"image": picture_of(mesh)}).items():
        picture.save(folder / f"{role}.png")
        inputs[role] = folder / f"{role}.png"
    (folder / "out").mkdir()
    engine, sink = engine or ScriptedTexture(), sink or NotingSink()
    settings = TextureMeshParams(**{"preset": "draft", "seed": 7} | params)
    request = PipelineRequest(inputs, settings, folder / "out")
    outcome = TextureMeshPipeline(texture_registry(engine)).run(request, sink)
    files = {file.role: file.path for file in outcome.outputs}
    return SimpleNamespace(facts=outcome.facts, files=files, sink=sink, tasks=engine.tasks)


def add_notes(path, notes):
    from tests.meshes.reading.files import glb

    checked = CheckedGlb(path)
    checked.document["asset"]["extras"] = notes
    path.write_bytes(glb(checked.document, checked.binary))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_files, "THUMBNAIL_PX", 48)
        return run(tmp_path_factory.mktemp("made") / "job", lamp())


def test_stages_and_files_are_as_announced(made):
    assert made.sink.started == STAGES
    assert [stage for stage, _ in made.sink.finished] == STAGES
    assert [*made.facts["timings_s"]] == STAGES
    assert set(made.files) == {
        "preview", "mask", "cutout", "model", "model_obj", "thumbnail",
        "albedo", "metallic", "roughness", "normal",
    }  # fmt: skip
    assert made.sink.warnings == []
    assert made.sink.engines == {"background": "alpha", "texture": "scripted_texture"}
    assert {"preview.glb", "mask.png", "cutout.png"} == set(made.sink.artifacts)


def test_the_model_is_the_given_mesh_face_by_face(made):
    glb = CheckedGlb(made.files["model"])
    found, given = read_mesh(made.files["model"]), lamp()
    np.testing.assert_array_equal(found.vertices[found.faces], given.vertices[given.faces])
    assert glb.map_of("baseColorTexture").shape == (16, 32, 3)
    shine = glb.map_of("metallicRoughnessTexture").astype(int)
    assert np.abs(shine[..., 1:] - (ROUGH, METAL)).max() <= 3
    loaded = trimesh.load(made.files["model"], force="mesh", process=False)
    assert len(loaded.faces) == len(given.faces)


def test_maps_are_pictures_of_their_own(made):
    maps = {
        role: np.asarray(Image.open(made.files[role]))
        for role in ("albedo", "metallic", "roughness", "normal")
    }
    assert maps["albedo"].shape == maps["normal"].shape == (16, 32, 3)
    assert (maps["metallic"] == METAL).all()
    assert (maps["roughness"] == ROUGH).all()
    lengths = np.linalg.norm(maps["normal"] / 127.5 - 1, axis=2)
    shown = (maps["normal"] != 128).any(axis=2)
    np.testing.assert_allclose(lengths[shown], 1, atol=0.02)


def test_the_picture_lies_where_its_object_is(made):
    (task,) = made.tasks
    (front,) = task.references
    assert made.facts["outlines"]["front"] > 0.95
    assert front.azimuth_deg == 0
    pixels = front.frame.to_pixels(task.mesh.vertices)
    rows, columns = np.nonzero(front.mask)
    for axis, seen in enumerate((columns, rows)):
        assert pixels[:, axis].min() == pytest.approx(seen.min() - 0.5, abs=1.0)
        assert pixels[:, axis].max() == pytest.approx(seen.max() + 0.5, abs=1.0)
    assert (task.size_px, task.seed, task.back_side) == (512, 7, BackSide.AUTO)
    assert not task.is_inflated
    assert task.layout is None


def test_pictures_from_other_sides_lie_on_those_sides(tmp_path):
    pictures = {
        role: picture_of(lamp(), azimuth)
        for role, azimuth in (("image", 0), ("left", 90), ("back", 180), ("right", 270))
    }
    made = run(tmp_path / "job", lamp(), pictures)
    (task,) = made.tasks
    assert [one.azimuth_deg for one in task.references] == [0, 90, 180, 270]
    assert list(made.facts["outlines"]) == ["front", "left", "back", "right"]
    assert min(made.facts["outlines"].values()) > 0.9
    assert made.sink.warnings == []


def test_a_picture_of_another_side_is_told_with_the_side_it_shows(tmp_path):
    made = run(tmp_path / "job", lamp(), {"image": picture_of(lamp(), 90)})
    assert made.facts["outlines"]["front"] < 0.7
    (warning,) = made.sink.warnings
    assert "agree by" in warning
    assert "seen from the left. Its front was taken to face +Z; choose +X" in warning


@pytest.mark.parametrize("front", ["+x", "-z", "-x"])
def test_the_front_of_a_mesh_may_face_any_side(tmp_path, front):
    turned = {"+x": 90, "-z": 180, "-x": 270}[front]
    pictures = {"image": picture_of(lamp(), turned), "left": picture_of(lamp(), turned + 90)}
    made = run(tmp_path / "job", lamp(), pictures, front=front)
    (task,) = made.tasks
    assert min(made.facts["outlines"].values()) > 0.9
    assert made.facts["front"] == front
    assert made.sink.warnings == []
    front_picture = task.references[0]
    seen = covered_pixels(task.mesh, front_picture.frame, front_picture.mask.shape)
    assert iou(seen, front_picture.mask) > 0.9
    found, given = read_mesh(made.files["model"]), lamp()
    np.testing.assert_array_equal(found.vertices[found.faces], given.vertices[given.faces])


def test_a_model_that_was_named_is_used_or_refused(tmp_path):
    asked = {"texture_model": "hunyuan3d-paint-2.0"}
    with pytest.raises(EngineUnavailable):
        run(tmp_path / "job", lamp(), **asked)
    for pipeline, params in (
        ("texture_mesh", TextureMeshParams(**asked)),
        ("image_to_3d", ImageTo3DParams(**asked)),
        ("image_to_3d", ImageTo3DParams(model="hunyuan3d-2.0")),
    ):
        with pytest.raises(EngineUnavailable):
            batched_stages(pipeline, params)
    other = ImageTo3DParams(engine="inflate", model="hunyuan3d-2.0", texture_engine="projection")
    assert batched_stages("image_to_3d", other) == []


def test_wishes_reach_the_engine_and_its_words_come_back(tmp_path):
    engine = ScriptedTexture(notice="Look at it.")
    engine.name = "hunyuan3d_paint"  # whose model is named
    made = run(
        tmp_path / "job", lamp(), engine=engine, texture_size_px=300, back_side="plain",
        texture_model="hunyuan3d-paint-2.1", texture_steps=9, delight=False,
    )  # fmt: skip
    (task,) = made.tasks
    assert (task.size_px, task.back_side) == (300, BackSide.PLAIN)
    assert (task.wishes.model, task.wishes.steps, task.wishes.delight, task.wishes.upscale) == (
        "hunyuan3d-paint-2.1", 9, False, None
    )  # fmt: skip
    assert made.sink.warnings == ["Look at it."]
    assert made.facts["texture"] == {"size_px": [32, 16], "model": "m"}


def test_own_texture_coordinates_are_kept_unless_refused(tmp_path):
    made = run(tmp_path / "kept", globe(8))
    assert made.facts["layout"]["kept"], made.facts["layout"]
    found = read_mesh(made.files["model"])
    given = globe(8)
    np.testing.assert_allclose(found.uvs[found.faces], given.uvs[given.faces], atol=1e-6)
    made = run(tmp_path / "new", globe(8), keep_uvs=False)
    assert made.facts["layout"]["reason"] == "not_asked"
    assert made.tasks[0].layout is None
    assert made.sink.warnings == []


def test_unusable_texture_coordinates_are_made_anew_and_told(tmp_path):
    flat = replace(textured_box(), materials=(Material("one"), Material("two")))
    made = run(tmp_path / "job", flat)  # all sides lie over one another
    assert not made.facts["layout"]["kept"]
    assert made.facts["layout"]["reason"]
    assert "2 materials" in made.sink.warnings[0]
    assert made.facts["layout"]["words"] in made.sink.warnings[1]


def test_colours_of_vertices_are_replaced_and_told(tmp_path):
    colors = np.full((len(lamp().vertices), 4), 200, dtype=np.uint8)
    made = run(tmp_path / "job", replace(lamp(), colors=colors))
    assert "colours of vertices" in made.sink.warnings[0]
    assert read_mesh(made.files["model"]).colors is None


def test_faces_without_area_and_many_bodies_stay(tmp_path):
    balls = three_balls(0)
    many = SourceMesh.plain(
        together(*(
            sphere(0.4, 0).with_vertices(sphere(0.4, 0).vertices + np.float32([x, y, 0]))
            for x in range(10) for y in range(10)
        ))
    )  # fmt: skip
    faces = np.concatenate([balls.faces, [[0, 0, 1]]]).astype(np.int32)
    torn = replace(balls, faces=faces, face_materials=np.zeros(len(faces), np.int16))
    for name, mesh in (("torn", torn), ("many", many)):
        found = read_mesh(run(tmp_path / name, mesh).files["model"])
        np.testing.assert_array_equal(found.vertices[found.faces], mesh.vertices[mesh.faces])


def test_a_model_of_ours_that_was_inflated_is_known_again(tmp_path):
    made = run(tmp_path / "job", lamp(), notes={SHAPE_MODE: "inflate"})
    assert made.tasks[0].is_inflated
    assert shape_mode_in(made.files["model"]) == "inflate"


@pytest.mark.parametrize(("pictures", "error"), [
    ({"left": Image.new("RGBA", (64, 64), (1, 2, 3, 255))}, MissingFile),
    ({"image": Image.new("RGBA", (64, 64))}, NoForeground),
])  # fmt: skip
def test_no_picture_and_no_object_are_errors_of_their_own(tmp_path, pictures, error):
    with pytest.raises(error):
        run(tmp_path / "job", lamp(), pictures)


def test_a_mesh_without_an_area_is_refused(tmp_path):
    from backend.meshes.paintable_mesh import PaintableMesh

    line = replace(lamp(), vertices=lamp().vertices * np.float32([1, 0, 0]))
    with pytest.raises(UnusableMesh):
        PaintableMesh.of(line)


def test_it_stops_when_asked(tmp_path):
    with pytest.raises(JobCanceled):
        run(tmp_path / "job", lamp(), sink=NotingSink(stop_after=1))


def test_the_registry_of_this_build_names_what_is_missing():
    with pytest.raises(EngineUnavailable):
        batched_stages("texture_mesh", TextureMeshParams(engine="hunyuan3d_paint"))
    assert batched_stages("texture_mesh", TextureMeshParams(engine="projection")) == []


def test_the_built_in_engine_colours_the_mesh_from_its_picture(tmp_path):
    tall = lamp()
    write_source_mesh(tall, tmp_path / "mesh.glb")
    picture_of(tall, side=128).save(tmp_path / "image.png")
    (tmp_path / "out").mkdir()
    request = PipelineRequest(
        {"mesh": tmp_path / "mesh.glb", "image": tmp_path / "image.png"},
        TextureMeshParams(preset="draft", engine="projection", texture_size_px=256, seed=1),
        tmp_path / "out",
    )
    outcome = run_pipeline("texture_mesh", request, NotingSink())
    glb = CheckedGlb(tmp_path / "out" / "model.glb")
    assert glb.map_of("baseColorTexture").shape == (256, 256, 3)
    found = read_mesh(tmp_path / "out" / "model.glb")
    middles = found.uvs[found.faces].mean(axis=1)
    x, y = (middles * 256).astype(int).T
    colours = glb.map_of("baseColorTexture")[y, x].astype(int)
    assert np.abs(colours - COLOUR).max() < 25, "of every face"
    assert outcome.facts["texture"]["size_px"] == [256, 256]
    with zipfile.ZipFile(tmp_path / "out" / "model_obj.zip") as archive:
        assert io.BytesIO(archive.read("texture.png"))


def test_jobs_of_other_effort_have_their_own_estimates():
    asked = [
        {}, {"texture_model": "hunyuan3d-paint-2.1"}, {"texture_steps": 90}, {"view_px": 768},
        {"texture_views": 9},
    ]  # fmt: skip
    keys = [cost_key("texture_mesh", TextureMeshParams(**one)) for one in asked]
    keys += [cost_key("texture_mesh", TextureMeshParams(engine="projection"))]
    keys += [cost_key("image_to_3d", ImageTo3DParams(**one)) for one in asked]
    assert len(set(keys)) == len(keys)
    assert cost_key("image_to_3d", ImageTo3DParams()) == "image_to_3d:standard:auto:textured"


def test_sizes_that_were_asked_for_are_named_in_the_key():
    asked = TextureMeshParams(engine="hunyuan3d_paint", texture_steps=2, view_px=256)
    key = cost_key("texture_mesh", asked)
    assert key == "texture_mesh:standard:hunyuan3d_paint/auto, steps 2, px 256"


def test_a_job_without_a_network_says_which_settings_made_no_difference(tmp_path):
    engine = ScriptedTexture()
    engine.heeds_wishes = False
    made = run(tmp_path / "job", lamp(), engine=engine, view_px=512)
    (warning,) = made.sink.warnings
    assert "view_px made no difference" in warning
