"""Joins vertices that are alike in everything: place, look, and the light they get."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from backend.meshes.closing.half_edges import Indices, same_places
from backend.meshes.reading.welding import place_numbers
from backend.meshes.shading_normals import shading_normals
from backend.meshes.source_mesh import SourceMesh


def merge_alike(mesh: SourceMesh) -> tuple[SourceMesh, Indices]:
    """Keep one of the vertices that are alike; those no face uses go, faces keep their order.

    Seams of a texture stay, and so do the edges that the file holds apart to be sharp: vertices
    are joined only where they are lit alike.

    Returns
    -------
    mesh : SourceMesh
    kept : (k,) int64
        The vertices that were kept.
    """
    used = np.unique(mesh.faces).astype(np.int64)
    mesh = mesh.selected(np.ones(len(mesh.faces), dtype=bool))
    kinds = look_numbers(mesh)
    lit = place_numbers(shading_normals(mesh.vertices, mesh.faces))
    first, numbers = _firsts(_paired(kinds, lit))
    merged = replace(
        mesh,
        vertices=mesh.vertices[first],
        faces=numbers[mesh.faces].astype(np.int32),
        uvs=None if mesh.uvs is None else mesh.uvs[first],
        colors=None if mesh.colors is None else mesh.colors[first],
    )
    return merged, used[first]


def look_numbers(mesh: SourceMesh) -> Indices:
    """Number vertices so that those of one place, texture coordinate and colour are equal."""
    numbers = same_places(mesh.vertices)
    if mesh.uvs is not None:
        numbers = _paired(numbers, place_numbers(mesh.uvs))
    if mesh.colors is not None:
        packed = np.ascontiguousarray(mesh.colors).view(np.uint32).reshape(-1)
        numbers = _paired(numbers, np.unique(packed, return_inverse=True)[1])
    return numbers


def _paired(one: NDArray[np.integer], other: NDArray[np.integer]) -> Indices:
    """Number the pairs of two numbers."""
    keys = one.astype(np.int64) * (int(other.max(initial=0)) + 1) + other
    return np.unique(keys, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _firsts(numbers: Indices) -> tuple[Indices, Indices]:
    """Return the first vertex of each number, in order of the vertices, and the new numbers."""
    _, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    rank = np.zeros(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return first[order].astype(np.int64), rank[inverse.reshape(-1)]
