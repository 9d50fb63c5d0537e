"""Poses vertices that hang on bones, as the file's own nodes stand."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from backend.errors import MeshCorrupt
from backend.meshes.reading.gltf_accessors import accessor
from backend.meshes.reading.gltf_document import GltfDocument

MATRIX_WIDTH = 16
MAX_BONES = 10_000
_CHUNK = 1 << 16


def bone_matrices(
    document: GltfDocument, skin: object, worlds: Mapping[int, NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Return what each bone of a skin does to its vertices.

    Parameters
    ----------
    worlds : mapping of int to (4, 4) float64
        Where each node of the scene stands.

    Returns
    -------
    (b, 4, 4) float64

    Raises
    ------
    MeshCorrupt

    Source
    ------
    glTF 2.0, 3.7.3 "Skins": the bone's place in the world times its inverse bind matrix; the
    node of a skinned mesh itself does not count.
    """
    entry = document.item("skins", skin)
    joints = entry.get("joints")
    if not isinstance(joints, list) or not 0 < len(joints) <= MAX_BONES:
        raise MeshCorrupt(f"skins[{skin}] has no bones, or more than {MAX_BONES:,}.")
    if not all(type(joint) is int and joint in worlds for joint in joints):
        raise MeshCorrupt(f"skins[{skin}] names a bone that is not in the scene.")
    places = np.stack([worlds[joint] for joint in joints])
    if "inverseBindMatrices" not in entry:
        return places
    found = accessor(document, entry["inverseBindMatrices"], MATRIX_WIDTH)
    if len(found.values) < len(joints):
        raise MeshCorrupt(f"skins[{skin}] has fewer matrices than bones.")
    inverse = found.real(slice(0, len(joints))).reshape(-1, 4, 4).transpose(0, 2, 1)
    with np.errstate(all="ignore"):  # what overflows is refused as not finite
        posed: NDArray[np.float64] = places @ inverse
    return posed


def posed_points(
    points: NDArray[np.float64],
    joints: NDArray[np.float64],
    weights: NDArray[np.float64],
    bones: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Move each vertex by the mean of its bones.

    Parameters
    ----------
    points : (n, 3) float64
    joints, weights : (n, 4) float64
        Which bones, and how much each counts; where none does, the first one.
    bones : (b, 4, 4) float64
        From ``bone_matrices``.

    Raises
    ------
    MeshCorrupt
        A vertex names a bone that is not there.
    """
    for wrong in joints[~((joints >= 0) & (joints < len(bones)))][:1]:
        raise MeshCorrupt(f"A vertex hangs on bone {int(wrong):,} of {len(bones):,}.")
    moved = np.zeros_like(points)
    for start in range(0, len(points), _CHUNK):  # a matrix per vertex takes memory
        part = slice(start, start + _CHUNK)
        share = np.nan_to_num(weights[part], posinf=0, neginf=0)
        total = share.sum(axis=1, keepdims=True)
        share = np.where(total > 0, share / np.where(total > 0, total, 1), [1.0, 0, 0, 0])
        mean = np.einsum("nk,nkij->nij", share, bones[joints[part].astype(np.int64)])
        moved[part] = np.einsum("nij,nj->ni", mean[:, :3, :3], points[part]) + mean[:, :3, 3]
    return moved
