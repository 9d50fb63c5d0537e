"""From labels of points on a surface to one part for every face."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.meshes.mask_parts.absorption import SMALL_SHARE, all_labelled
from backend.meshes.mask_parts.clean_surface import CleanSurface
from backend.meshes.mask_parts.label_boxes import label_boxes
from backend.meshes.mask_parts.neighbour_fill import filled_from_neighbours
from backend.meshes.mask_parts.region_map import RegionMap
from backend.meshes.mask_parts.tail_merging import with_tail_merged

IN_NO_MASK = -1
NOT_LOOKED_AT = -2
SMALLEST_AREA = 1e-7


@dataclass(frozen=True)
class FaceParts:
    """The part of every face, and the box of every part.

    Parameters
    ----------
    face_ids : (m,) int64
        From 0; numbers may be left out.
    ids : (p,) int64
        Those that faces have, in order.
    boxes : (p, 2, 3) float64
        Lowest and highest corner of each part.
    """

    face_ids: NDArray[np.int64]
    ids: NDArray[np.int64]
    boxes: NDArray[np.float64]

    @property
    def numbers(self) -> NDArray[np.int64]:
        """The part of each face, numbered from 0 without gaps, (m,) int64."""
        return np.asarray(np.searchsorted(self.ids, self.face_ids))


def face_parts(
    vertices: NDArray[np.floating],
    faces: NDArray[np.integer],
    sample_faces: NDArray[np.integer],
    sample_labels: NDArray[np.integer],
    *,
    post_process: bool = True,
    threshold: float = 0.95,
    check_canceled: Callable[[], None] = lambda: None,
) -> FaceParts:
    """Let points vote for the labels of their faces, and settle what they leave open.

    Faces without a point take the label of most of their neighbours. Specks below a thousandth
    of their piece of the surface are labelled anew by what is around them.

    Parameters
    ----------
    vertices : (n, 3) float
    faces : (m, 3) int
        At least one; they keep their order, and vertices may lie in one place several times.
    sample_faces : (s,) int
        The face of each point.
    sample_labels : (s,) int
        Of each point; below 0 for points in no mask.
    post_process : bool
        Whether small regions beyond ``threshold`` join their neighbours.
    threshold : float
        Share of the area, from 0 to 1.
    check_canceled : callable
        Called every now and then; what it raises is raised.

    Returns
    -------
    FaceParts
        At least one part; every face is in one.

    Source
    ------
    P3-SAM: Native 3D Part Segmentation (2025), its automatic segmentation.
    """
    check_canceled()
    surface = CleanSurface.of(vertices, faces)
    check_canceled()
    labels = _votes(surface.owners[sample_faces], sample_labels, len(surface)) - IN_NO_MASK
    labels = filled_from_neighbours(surface.table, labels, check_canceled) + IN_NO_MASK
    labels = _without_specks(surface, labels)
    labels = filled_from_neighbours(surface.table, labels, check_canceled)
    regions = all_labelled(surface, RegionMap.of(surface, labels), check_canceled)
    settled = with_tail_merged(regions, threshold) if post_process else regions.labels
    check_canceled()
    found = settled[regions.of_faces]
    ids, numbers = np.unique(found, return_inverse=True)
    boxes = label_boxes(surface.corners, numbers, len(ids))
    return FaceParts(found[surface.owners], ids, boxes)


def _votes(faces: NDArray[np.int64], labels: NDArray[np.integer], count: int) -> NDArray[np.int64]:
    """Find the most frequent label of each face; of equals the smallest."""
    votes = np.maximum(labels, IN_NO_MASK).astype(np.int64) - IN_NO_MASK
    span = int(votes.max(initial=0)) + 1
    keys, counts = np.unique(faces * span + votes, return_counts=True)
    at, label = np.divmod(keys, span)
    order = np.lexsort((-label, counts, at))
    found = np.full(count, NOT_LOOKED_AT)
    last = order[np.flatnonzero(np.diff(at[order], append=-1))]
    found[at[last]] = label[last] + IN_NO_MASK
    return found


def _without_specks(surface: CleanSurface, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Take the labels of regions that are a thousandth of their piece of the surface or less.

    What is added to the area of a piece, as the authors do, is less for small surfaces, so that
    the unit of length makes no difference there.
    """
    pieces, regions = surface.regions(), surface.regions(labels)
    piece_areas = np.bincount(pieces, surface.areas)
    region_areas = np.bincount(regions, surface.areas)
    added = SMALLEST_AREA * min(1.0, float(piece_areas.sum()))
    shares = region_areas[regions] / np.maximum(piece_areas[pieces] + added, np.finfo(float).tiny)
    return np.where(shares <= SMALL_SHARE, IN_NO_MASK, labels)
