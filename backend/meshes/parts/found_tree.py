"""The tree over parts that a network found: its own parts, finer patches, coarser parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.meshes.parts.likeness_merging import likeness_tree, summed_descriptions
from backend.meshes.parts.mask_patches import mask_patches, nearest_samples, signatures
from backend.meshes.parts.part_tree import PartTree
from backend.meshes.parts.surface import neighbours
from backend.meshes.parts.welding import weld
from backend.meshes.source_mesh import SourceMesh


@dataclass(frozen=True)
class SeenPoints:
    """Points of a surface, and what a network says of them.

    Parameters
    ----------
    places : (n, 3) float64
        In the coordinates of the mesh.
    faces : (n,) int64
        The face of each.
    masks : (k, n) bool
        Overlapping masks that it predicted; where they end, patches do.
    features : (v, c) float32
    rows : (n,) int64
        The row of the features of each point.
    """

    places: NDArray[np.float64]
    faces: NDArray[np.int64]
    masks: NDArray[np.bool_]
    features: NDArray[np.float32]
    rows: NDArray[np.int64]


def found_tree(mesh: SourceMesh, face_parts: NDArray[np.int32], seen: SeenPoints) -> PartTree:
    """Build the tree of a surface whose parts are known.

    Parameters
    ----------
    face_parts : (m,) int32
        From 0 without gaps.

    Returns
    -------
    PartTree
        ``face_parts(suggested)`` of it are the parts that were found.
    """
    welded = weld(mesh.vertices, mesh.faces)
    pairs = welded.source_faces[neighbours(welded.faces)]
    corners = mesh.vertices[mesh.faces].astype(np.float64)
    nearest = nearest_samples(corners.mean(axis=1), face_parts, seen.places, seen.faces)
    patches = mask_patches(face_parts, signatures(seen.masks)[nearest], pairs, _areas(corners))
    count = int(patches.max()) + 1
    patch_parts = np.zeros(count, dtype=np.int64)
    patch_parts[patches] = face_parts
    descriptions = summed_descriptions(patches[seen.faces], seen.rows, seen.features, count)
    return likeness_tree(patches, patch_parts, pairs, descriptions)


def undivided_tree(faces: int) -> PartTree:
    """Build the tree of a surface that is one part."""
    merges = np.zeros((0, 2), dtype=np.int32)
    return PartTree(np.zeros(faces, dtype=np.int32), 1, merges, np.zeros(0, dtype=np.float32), 1)


def has_area(mesh: SourceMesh) -> bool:
    """Whether points can be drawn on a mesh."""
    return bool(_areas(mesh.vertices[mesh.faces].astype(np.float64)).any())


def _areas(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    sides = corners[:, 1:] - corners[:, :1]
    return np.asarray(np.linalg.norm(np.cross(sides[:, 0], sides[:, 1]), axis=1) / 2)
