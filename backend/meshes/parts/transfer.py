"""Hands patches of the analysed surface to the faces of the mesh that was given."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from backend.meshes.parts.part_tree import PartTree
from backend.meshes.parts.welding import Welded
from backend.meshes.source_mesh import SourceMesh


def transferred(
    tree: PartTree, mesh: SourceMesh, welded: Welded, welded_patches: NDArray[np.int64]
) -> PartTree:
    """Build the tree over the faces of the mesh.

    Patches that no face came to are left out, with the merges that they took part in.

    Parameters
    ----------
    tree : PartTree
        Over the surface that was looked at.
    welded_patches : (w,) int64
        The patch of each welded face.
    """
    labels = np.full(len(mesh.faces), -1)
    labels[welded.source_faces] = welded_patches
    _label_collapsed(mesh, labels)
    return _pruned(tree, labels)


def _label_collapsed(mesh: SourceMesh, labels: NDArray[np.int64]) -> None:
    """Give faces without area, and repeated ones, the label of the nearest of the others."""
    collapsed = np.flatnonzero(labels < 0)
    if not len(collapsed):
        return
    others = np.flatnonzero(labels >= 0)
    tree = cKDTree(mesh.vertices[mesh.faces[others]].mean(axis=1, dtype=np.float64))
    points = mesh.vertices[mesh.faces[collapsed]].mean(axis=1, dtype=np.float64)
    labels[collapsed] = labels[others[tree.query(points)[1]]]


def _pruned(tree: PartTree, labels: NDArray[np.int64]) -> PartTree:
    """Drop patches without faces and number the rest anew."""
    used = np.bincount(labels, minlength=tree.patch_count) > 0
    node = np.where(used, np.cumsum(used) - 1, -1).tolist()
    patch_count = int(used.sum())
    nodes: list[tuple[int, int]] = []
    costs: list[float] = []
    suggested = patch_count
    for number, (x, y) in enumerate(tree.merges.tolist()):
        if node[x] >= 0 and node[y] >= 0:
            nodes.append((node[x], node[y]))
            costs.append(float(tree.costs[number]))
            node.append(patch_count + len(nodes) - 1)
        else:
            node.append(max(node[x], node[y]))
        if number < tree.patch_count - tree.suggested:
            suggested = patch_count - len(nodes)
    return PartTree(
        np.asarray(np.array(node[: tree.patch_count])[labels], dtype=np.int32),
        patch_count,
        np.array(nodes, dtype=np.int32).reshape(-1, 2),
        np.array(costs, dtype=np.float32),
        suggested,
    )
