"""Whether the texture coordinates that a mesh came with can carry one texture of its own."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from backend.meshes.closing.half_edges import Points
from backend.meshes.source_mesh import SourceMesh
from backend.meshes.texturing.charts.layout_quality import texel_counts
from backend.meshes.texturing.charts.scanlines import affordable_share
from backend.meshes.texturing.surface_layout import SurfaceLayout

SIZE_TEXELS = 512
EDGE_TOLERANCE = 1e-3
"""Coordinates outside by less are rounding, and are brought in."""
MOST_OVERLAP = 0.005
"""Of the covered texels."""
MOST_WITHOUT_ROOM = 0.002
"""Of the area of the surface."""
LEAST_DENSITY = 1e-6
"""Of the usual density (texture area per area); faces with less have no room."""
LEAST_USE = 0.02
"""Of the texture; with less, new coordinates give several times finer a texture."""


class UvProblem(StrEnum):
    """Why texture coordinates cannot carry one texture."""

    NONE = "none"
    NOT_FINITE = "not_finite"
    OUTSIDE = "outside"
    WITHOUT_ROOM = "without_room"
    OVERLAPPING = "overlapping"
    SHARED_BY_MATERIALS = "shared_by_materials"
    TOO_SMALL = "too_small"


@dataclass(frozen=True)
class UnusableUvs:
    """What is wrong with them.

    Parameters
    ----------
    reason : UvProblem
    sentence : str
        The same for people.
    share : float or None
        How much is wrong, from 0 to 1, where that is a share.
    """

    reason: UvProblem
    sentence: str
    share: float | None = None


def usable_layout(mesh: SourceMesh) -> SurfaceLayout | UnusableUvs:
    """Keep the texture coordinates of a mesh, or say why they cannot be kept.

    Mirrored faces are fine as long as they have a place of their own. Coordinates that all lie
    in one other square of the tiling are moved into the first.

    Parameters
    ----------
    mesh : SourceMesh
        With finite vertices.
    """
    if mesh.uvs is None or not len(mesh.faces):
        return UnusableUvs(UvProblem.NONE, "The mesh has no texture coordinates.")
    used, compact = np.unique(mesh.faces, return_inverse=True)
    uv = mesh.uvs[used].astype(np.float64)
    if not np.isfinite(uv).all():
        words = "Some of its texture coordinates are not numbers."
        return UnusableUvs(UvProblem.NOT_FINITE, words)
    uv -= np.floor(uv.min(axis=0) + EDGE_TOLERANCE)
    faces = compact.reshape(-1, 3).astype(np.int32)
    problem = _problem(mesh, uv, uv[faces])
    if problem is not None:
        return problem
    inside = np.clip(uv, 0.0, 1.0)
    inside[:, 1] = 1 - inside[:, 1]
    return SurfaceLayout(used.astype(np.int64), inside.astype(np.float32), faces)


def _problem(mesh: SourceMesh, uv: Points, corners: Points) -> UnusableUvs | None:
    return _outside(uv, corners) or _without_room(mesh, corners) or _overlapping(mesh, corners)


def _outside(uv: Points, corners: Points) -> UnusableUvs | None:
    beyond = uv.max(axis=0) > 1 + EDGE_TOLERANCE
    if not beyond.any():
        return None
    share = float((corners > 1 + EDGE_TOLERANCE).any(axis=(1, 2)).mean())
    words = "Its texture coordinates reach beyond the texture, which is repeated over the surface."
    return UnusableUvs(UvProblem.OUTSIDE, words, share)


def _without_room(mesh: SourceMesh, corners: Points) -> UnusableUvs | None:
    """Judge the faces that have an area but hardly any place in the texture."""
    areas, flat = _surface_areas(mesh), _flat_areas(corners)
    total = float(areas.sum())
    if total <= 0:
        return None
    usual = float(flat.sum()) / total
    share = float(areas[flat <= LEAST_DENSITY * usual * areas].sum()) / total
    if share <= MOST_WITHOUT_ROOM:
        return None
    words = f"{_percent(share)} of its surface has no place in the texture."
    return UnusableUvs(UvProblem.WITHOUT_ROOM, words, share)


def _overlapping(mesh: SourceMesh, corners: Points) -> UnusableUvs | None:
    covered, overlap = _coverage(corners)
    if overlap > MOST_OVERLAP:
        if len(np.unique(mesh.face_materials)) > 1 and not _each_overlaps(mesh, corners):
            words = "Its materials have textures of their own, in the same place each."
            return UnusableUvs(UvProblem.SHARED_BY_MATERIALS, words, overlap)
        words = f"Several faces share {_percent(overlap)} of the used texture."
        return UnusableUvs(UvProblem.OVERLAPPING, words, overlap)
    if covered < LEAST_USE:
        words = f"Its texture coordinates use only {_percent(covered)} of the texture."
        return UnusableUvs(UvProblem.TOO_SMALL, words, covered)
    return None


def _each_overlaps(mesh: SourceMesh, corners: Points) -> bool:
    """Whether some material overlaps within itself."""
    kinds = np.unique(mesh.face_materials)
    return any(_coverage(corners[mesh.face_materials == kind])[1] > MOST_OVERLAP for kind in kinds)


def _coverage(corners: Points) -> tuple[float, float]:
    """Share of the texture that faces cover, and share of that that several cover."""
    total = float(_flat_areas(corners).sum())
    if total > 1 + EDGE_TOLERANCE:  # more than fits; and it may be thousands of times more
        return 1.0, 1 - 1 / total
    size = max(16, round(SIZE_TEXELS * affordable_share(corners * SIZE_TEXELS)))
    covered, shared = texel_counts(corners, size)
    return covered / size**2, shared / max(covered, 1)


def _surface_areas(mesh: SourceMesh) -> Points:
    corners = mesh.vertices.astype(np.float64)[mesh.faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return np.asarray(np.linalg.norm(cross, axis=1) / 2)


def _flat_areas(corners: Points) -> Points:
    base, side = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    areas: NDArray[np.float64] = np.abs(base[:, 0] * side[:, 1] - base[:, 1] * side[:, 0]) / 2
    return areas


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.1f} %"
