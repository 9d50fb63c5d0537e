"""Every kind of mesh that people have is coloured by the built-in engine, or refused by name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backend.catalog import TextureMeshParams
from backend.engines.projection_texture import ProjectionTexture
from backend.errors import UnusableMesh
from backend.meshes.reading.read_mesh import read_mesh
from backend.meshes.source_glb import write_source_mesh
from backend.meshes.source_mesh import Material, SourceMesh
from backend.pipelines import model_files, texture_mesh
from backend.pipelines.picture_placement import AGREES_FROM
from backend.pipelines.pipeline import PipelineRequest
from backend.pipelines.texture_mesh import TextureMeshPipeline
from tests.meshes.glb_check import CheckedGlb
from tests.meshes.solids import box, sphere, together
from tests.meshes.source_shapes import textured_box
from tests.pipelines.scripted_textures import texture_registry
from tests.pipelines.test_image_to_3d import NotingSink
from tests.pipelines.test_texture_mesh import COLOUR, lamp, picture_of

SIZE_PX = 256


def moved(mesh, scale=1.0, by=(0, 0, 0)):
    return replace(mesh, vertices=(mesh.vertices * scale + np.float32(by)).astype(np.float32))


def sheet(faces=((0, 1, 2), (0, 2, 3)), uvs=None):
    corners = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32)
    made = SourceMesh.plain(box().__class__(corners, np.array(faces, np.int32)))
    return made if uvs is None else replace(made, uvs=np.array(uvs, np.float32))


def hundred_bodies():
    small = sphere(0.4, 0)
    places = [(x, y, 0) for x in range(10) for y in range(10)]
    return SourceMesh.plain(
        together(*(small.with_vertices(small.vertices + np.float32(place)) for place in places))
    )


def with_faces(mesh, *more):
    faces = np.concatenate([mesh.faces, np.array(more, np.int32)])
    return replace(mesh, faces=faces, face_materials=np.zeros(len(faces), np.int16))


def with_stray_vertices(mesh):
    stray = np.array([[500, 0, 0], [0, -900, 70]], np.float32)
    return replace(mesh, vertices=np.concatenate([mesh.vertices, stray]))


def two_materials():
    kinds = np.arange(24, dtype=np.int16) % 2
    return replace(lamp(), materials=(Material("one"), Material("two")), face_materials=kinds)


KINDS = {
    "no coordinates": (lamp(), "none"),
    "coordinates without room": (textured_box(), "without_room"),
    "mirrored halves": (sheet(uvs=[[0, 0], [1, 0], [1, 1], [1, 0]]), "overlapping"),
    "usable coordinates": (sheet(uvs=[[0, 0], [1, 0], [1, 1], [0, 1]]), None),
    "several materials": (two_materials(), "none"),
    "coloured vertices": (replace(lamp(), colors=np.full((16, 4), 99, np.uint8)), "none"),
    "faces without area": (with_faces(lamp(), [0, 0, 1], [3, 3, 3]), "none"),
    "a hundred bodies": (hundred_bodies(), "none"),
    "an open sheet": (sheet(), "none"),
    "one triangle": (sheet(faces=((0, 1, 2),)), "none"),
    "millimetres": (moved(lamp(), 1000.0), "none"),
    "micrometres": (moved(lamp(), 1e-6), "none"),
    "far away": (moved(lamp(), 1.0, (5000, -3000, 100)), "none"),
    "inside out": (replace(lamp(), faces=lamp().faces[:, ::-1].copy()), "none"),
    "vertices of no face": (with_stray_vertices(lamp()), "none"),
}


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch):
    monkeypatch.setattr(model_files, "THUMBNAIL_PX", 32)
    effort = texture_mesh.EFFORTS["draft"]
    monkeypatch.setattr(texture_mesh, "EFFORTS", {"draft": replace(effort, working_px=96)})


def coloured(folder, mesh, seen):
    write_source_mesh(mesh, folder / "mesh.glb")
    picture_of(seen, side=72).save(folder / "image.png")
    (folder / "out").mkdir()
    settings = TextureMeshParams(preset="draft", texture_size_px=SIZE_PX, seed=1)
    inputs = {"mesh": folder / "mesh.glb", "image": folder / "image.png"}
    request = PipelineRequest(inputs, settings, folder / "out")
    registry = texture_registry(ProjectionTexture())
    return TextureMeshPipeline(registry).run(request, NotingSink())


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_coloured_and_stays_as_it_was(tmp_path, kind):
    mesh, reason = KINDS[kind]
    outcome = coloured(tmp_path, mesh, lamp() if kind == "vertices of no face" else mesh)
    assert outcome.facts["layout"]["reason"] == reason
    assert outcome.facts["outlines"]["front"] > AGREES_FROM
    glb = CheckedGlb(tmp_path / "out" / "model.glb")
    found = read_mesh(tmp_path / "out" / "model.glb")
    np.testing.assert_array_equal(found.vertices[found.faces], mesh.vertices[mesh.faces])
    texture = glb.map_of("baseColorTexture").astype(int)
    middles = found.uvs[found.faces].mean(axis=1)
    x, y = np.minimum(middles * SIZE_PX, SIZE_PX - 1).astype(int).T
    has_area = (found.faces[:, 0] != found.faces[:, 1]) & (found.faces[:, 1] != found.faces[:, 2])
    assert np.abs(texture[y, x][has_area] - COLOUR).max() < 30


@pytest.mark.parametrize("squeezed", [(1, 0, 0), (0, 0, 0)])
def test_what_has_no_area_is_refused(tmp_path, squeezed):
    flat = replace(lamp(), vertices=lamp().vertices * np.float32(squeezed))
    with pytest.raises(UnusableMesh):
        coloured(tmp_path, flat, lamp())
