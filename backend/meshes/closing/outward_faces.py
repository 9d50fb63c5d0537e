"""Which faces of a whole mesh look inwards; of a part alone this cannot be told."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.meshes.closing.body_nesting import bodies_to_turn, body_boxes
from backend.meshes.closing.joined_surface import join
from backend.meshes.closing.solidity import face_normals, face_volumes
from backend.meshes.source_mesh import SourceMesh

MAX_OPENING = 0.05  # of a body's area; with a larger hole it may look inwards on purpose


def faces_that_look_inwards(mesh: SourceMesh) -> NDArray[np.bool_]:
    """Say which faces to turn over so that all bodies look outwards, (m,) bool.

    Bodies with large openings count as they are, unless most of the others are inside out. A
    hole is as large as the sum of all normals of its body is long.
    """
    turn = np.zeros(len(mesh.faces), dtype=bool)
    surface = join(mesh)
    if not len(surface.faces):
        return turn
    bodies = surface.face_bodies
    count = int(bodies.max()) + 1
    normals = face_normals(surface.points, surface.faces)
    sums = np.stack([np.bincount(bodies, normals[:, axis], count) for axis in range(3)], axis=1)
    areas = np.bincount(bodies, np.linalg.norm(normals, axis=1), count)
    wide_open = np.linalg.norm(sums, axis=1) > MAX_OPENING * areas
    per_face = face_volumes(surface.points, surface.faces)
    volumes = np.where(wide_open, 0.0, np.bincount(bodies, per_face, count))
    over = bodies_to_turn(volumes, body_boxes(surface.points, surface.faces, bodies, count))
    turn[surface.sources] = surface.turned ^ over[bodies]
    return turn
