"""How much of what no view shows takes the colour of a body that touches its own."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import trimesh

from backend.meshes.texturing.surface_bodies import bodies_of
from backend.meshes.texturing.texel_fill import fill_hidden
from backend.meshes.texturing.texel_map import texels_of
from backend.meshes.texturing.unwrapping import unwrap
from backend.meshes.texturing.view_baking import PaintedTexels
from backend.meshes.triangle_mesh import TriangleMesh, vertex_normals
from bench.texture.stage_times import timed

OTHER_SIDE = 0.8  # of the second cube; the first has 1
CUTS = 4  # of each face into four
SHOWN, WRONG = 0.3, 0.1  # cosine with the view; how far off a colour is called wrong


def touching_bodies(size_px: int, rounds: int) -> list[dict[str, Any]]:
    """Fill two cubes of their own colours that touch, with and without knowing them apart."""
    mesh, first = _cubes()
    bodies = bodies_of(mesh.vertices, mesh.faces)
    texels = texels_of(
        unwrap(mesh, resolution=size_px), mesh.vertices, vertex_normals(mesh), size_px
    )
    true = (texels.face_ids < first)[:, None].astype(np.float32)
    seen = texels.normals[:, 2] > SHOWN
    painted = PaintedTexels(np.where(seen[:, None], true, np.float32(0)), seen)
    rows = []
    for way, known in (("all as one", None), ("body by body", bodies[texels.face_ids])):
        times, filled = timed(rounds, partial(fill_hidden, texels, painted, bodies=known))
        if filled is None:
            raise RuntimeError("nothing is painted")
        off = np.abs(filled - true)[~seen]
        rows.append(
            {
                "what": "touching cubes",
                "size_px": size_px,
                "by": way,
                "wrong_share": float((off > WRONG).mean()),
                "mean_error": float(off.mean()),
                "processor_s": float(np.median(times.processor_s)),
            }
        )
    return rows


def _cubes() -> tuple[TriangleMesh, int]:
    """Return two cubes that touch, and how many faces the first has."""
    boxes = [trimesh.creation.box((side, side, side)) for side in (1.0, OTHER_SIDE)]
    boxes[1].apply_translation(((1 + OTHER_SIDE) / 2, 0, 0))
    for _ in range(CUTS):
        boxes = [box.subdivide() for box in boxes]
    joined: Any = trimesh.util.concatenate(boxes)
    mesh = TriangleMesh(joined.vertices.astype(np.float32), joined.faces.astype(np.int32))
    return mesh, len(boxes[0].faces)
