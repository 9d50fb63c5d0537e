"""Lets faces be seen from both sides where a second one behind them was dropped."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from backend.meshes.closing.half_edges import Indices
from backend.meshes.source_mesh import SourceMesh


def seen_from_both_sides(mesh: SourceMesh, places: Indices, kept: Indices) -> SourceMesh:
    """Give faces that lost one back to back with them a material that has two sides.

    Sheets such as leaves are often made of two faces that look to opposite sides; one of them
    alone would be invisible from behind.

    Parameters
    ----------
    places : (n,) int64
        The place of each vertex.
    kept : (k,) int64
        Faces that are kept; of several with the same corners one is.
    """
    gone = np.ones(len(mesh.faces), dtype=bool)
    gone[kept] = False
    if not gone.any():
        return mesh
    corners = places[mesh.faces]
    ranked = np.sort(corners, axis=1)
    span = int(places.max()) + 1
    keys = ranked[:, 0] * span + ranked[:, 1]
    turns = _turns(corners, ranked)
    columns = (keys[gone], ranked[gone, 2], turns[gone])
    lost = set(zip(*(column.tolist() for column in columns), strict=True))
    near = kept[np.isin(keys[kept], keys[gone])]
    found = [
        face
        for face in near.tolist()
        if (int(keys[face]), int(ranked[face, 2]), not turns[face]) in lost
    ]
    return _two_sided(mesh, np.array(found, dtype=np.int64))


def _turns(corners: Indices, ranked: Indices) -> NDArray[np.bool_]:
    """Whether the corners run upwards around the circle, (m,) bool."""
    first = (corners == ranked[:, :1]).argmax(axis=1)
    rows = np.arange(len(corners))
    following = corners[rows, (first + 1) % 3]
    return np.asarray(following == ranked[:, 1])


def _two_sided(mesh: SourceMesh, faces: Indices) -> SourceMesh:
    kinds, looks = mesh.face_materials.copy(), list(mesh.materials)
    for kind in np.unique(kinds[faces]).tolist():
        if not looks[kind].is_double_sided:
            chosen = faces[kinds[faces] == kind]
            kinds[chosen] = len(looks)
            looks.append(replace(looks[kind], is_double_sided=True))
    return replace(mesh, materials=tuple(looks), face_materials=kinds)
