"""Walks the nodes of a glTF without recursion: which mesh stands where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.errors import MeshCorrupt, MeshTooLarge
from backend.meshes.reading.gltf_document import GltfDocument, numbers, whole
from backend.meshes.reading.gltf_skins import bone_matrices
from backend.meshes.reading.mesh_limits import MeshLimits

Matrix = NDArray[np.float64]
_IDENTITY = [1.0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]


@dataclass(frozen=True)
class PlacedMesh:
    """A mesh of the document, and what puts it into the world.

    Parameters
    ----------
    matrix : (4, 4) float64
        Moves all of it, unless it hangs on bones.
    bones : (b, 4, 4) float64 or None
        From ``bone_matrices``.
    """

    mesh: int
    matrix: Matrix
    bones: NDArray[np.float64] | None = None


def placed_meshes(document: GltfDocument, limits: MeshLimits) -> list[PlacedMesh]:
    """Find every mesh of the scene, in the order of the nodes.

    Raises
    ------
    MeshCorrupt
        The nodes form a cycle, one has two parents, or they are nested too deeply.
    MeshTooLarge
        There are too many nodes.
    """
    if document.count("nodes") > limits.nodes:
        raise MeshTooLarge(f"It has {document.count('nodes'):,} nodes.")
    if not document.count("nodes"):
        return [PlacedMesh(mesh, np.eye(4)) for mesh in range(document.count("meshes"))]
    worlds = _walked(document, _roots(document), limits)
    skins: dict[object, NDArray[np.float64]] = {}
    placed = []
    for number, matrix in worlds.items():
        node = document.item("nodes", number)
        if "mesh" in node:
            skin = node.get("skin")
            if skin is not None and str(skin) not in skins:
                skins[str(skin)] = bone_matrices(document, skin, worlds)
            placed.append(PlacedMesh(whole(node, "mesh"), matrix, skins.get(str(skin))))
    return placed


def _walked(document: GltfDocument, roots: list[Any], limits: MeshLimits) -> dict[int, Matrix]:
    """Find where each node stands, in the order of the scene."""
    worlds: dict[int, Matrix] = {}
    waiting: list[tuple[Any, Matrix, int]] = [(root, np.eye(4), 1) for root in reversed(roots)]
    while waiting:
        number, above, depth = waiting.pop()
        node = document.item("nodes", number)
        if number in worlds:
            raise MeshCorrupt(f"nodes[{number}] is its own ancestor, or has two parents.")
        if depth > limits.depth:
            raise MeshCorrupt(f"Its nodes are nested more than {limits.depth} deep.")
        with np.errstate(all="ignore"):  # what overflows is refused as not finite
            matrix = above @ local_matrix(node)
        worlds[number] = matrix
        waiting += [(child, matrix, depth + 1) for child in reversed(_children(node))]
    return worlds


def _roots(document: GltfDocument) -> list[Any]:
    """Take the nodes of the scene that is shown, or all that nobody has as a child."""
    if document.count("scenes"):
        scene = document.item("scenes", whole(document.root, "scene", 0))
        roots = scene.get("nodes", [])
        if not isinstance(roots, list):
            raise MeshCorrupt("The nodes of a scene are no list.")
        return roots
    count = document.count("nodes")
    below = {child for at in range(count) for child in _children(document.item("nodes", at))}
    roots = [at for at in range(count) if at not in below]
    if not roots:
        raise MeshCorrupt("Its nodes form a cycle.")
    return roots


def _children(node: dict[str, Any]) -> list[int]:
    found = node.get("children", [])
    if not isinstance(found, list) or not all(type(child) is int for child in found):
        raise MeshCorrupt("The children of a node are no list of numbers.")
    return found


def local_matrix(node: dict[str, Any]) -> Matrix:
    """Read the matrix of a node, or make it of translation, rotation and scale.

    Source
    ------
    glTF 2.0, 3.5.3 "Transformations": matrices lie column by column; otherwise T * R * S, the
    rotation being a unit quaternion (x, y, z, w).
    """
    if "matrix" in node:
        return np.array(numbers(node, "matrix", _IDENTITY)).reshape(4, 4).T
    x, y, z, w = numbers(node, "rotation", [0.0, 0.0, 0.0, 1.0])
    matrix = np.eye(4)
    matrix[:3, :3] = np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]) * np.array(numbers(node, "scale", [1.0, 1.0, 1.0]))  # fmt: skip
    matrix[:3, 3] = numbers(node, "translation", [0.0, 0.0, 0.0])
    return matrix
