from __future__ import annotations

import numpy as np

from backend.meshes.parts.division import divide
from backend.meshes.parts.linings import find_linings
from backend.meshes.parts.welding import weld
from backend.meshes.source_mesh import SourceMesh
from backend.meshes.triangle_mesh import TriangleMesh
from tests.meshes.parts.things import dumbbell
from tests.meshes.solids import box, sphere, together


def _inside_out(mesh):
    return TriangleMesh(mesh.vertices, np.ascontiguousarray(mesh.faces[:, ::-1]))


def _found(*meshes):
    mesh = together(*meshes)
    welded = weld(mesh.vertices, mesh.faces)
    bodies = [int(welded.bodies[at]) for at in np.cumsum([0, *(len(m.faces) for m in meshes[:-1])])]
    names = {body: number for number, body in enumerate(bodies)}
    found = find_linings(welded, np.arange(len(meshes)))
    return {names[lining]: names[host] for lining, host in found.items()}


def test_an_inner_skin_belongs_to_the_tightest_body_around_it():
    outer, middle = sphere(2, 3), sphere(1, 3)
    assert _found(outer, _inside_out(sphere(0.5, 3)), middle) == {1: 2}


def test_bodies_beside_or_the_right_way_round_are_no_linings():
    aside = _inside_out(box((0.5, 0.5, 0.5), (3, 0, 0)))
    assert _found(sphere(1, 3), aside, sphere(0.5, 3)) == {}


def test_a_hollow_thing_has_the_parts_of_a_solid_one():
    outer = dumbbell(40)
    points = outer.vertices * 1.0
    inner = _inside_out(outer.with_vertices(points * np.array([0.94, 0.8, 0.8], dtype=np.float32)))
    mesh = together(outer, inner)
    tree = divide(SourceMesh.plain(mesh), 0, lambda _: None)
    assert tree.suggested == 3
    parts = tree.face_parts(3)
    count = len(outer.faces)
    assert (parts[:count] == parts[count:]).mean() > 0.95
