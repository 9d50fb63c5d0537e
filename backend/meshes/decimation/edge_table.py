"""The edges of a surface with seams, and which vertices may move along which of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.meshes.closing.half_edges import Indices, edge_groups

FREE, BORDER, SEAM, LOCKED = 0, 1, 2, 3


@dataclass(frozen=True)
class SeamedFaces:
    """Faces whose corners have a place and a look.

    Parameters
    ----------
    wedges : (m, 3) int64
        Corners; a wedge is a place together with a look there.
    wedge_places : (w,) int64
        The place of each wedge.
    kinds : (m,) int16
        Material of each face.
    """

    wedges: Indices
    wedge_places: Indices
    kinds: NDArray[np.int16]

    @property
    def places(self) -> Indices:
        """Corners by place, (m, 3) int64."""
        return np.asarray(self.wedge_places[self.wedges])


@dataclass(frozen=True)
class EdgeTable:
    """All edges.

    Parameters
    ----------
    ends : (e, 2) int64
        Places, the lower first; sorted.
    sides : (e, 2) int64
        Half-edges of the edge; the second is -1 where it has only one face.
    lines : (e,) int64
        FREE within the surface, BORDER, SEAM where the look breaks, LOCKED where more than two
        faces meet or two that look to different sides.
    """

    ends: Indices
    sides: Indices
    lines: Indices

    def vertex_lines(self, faces: SeamedFaces, count: int) -> Indices:
        """Say along which lines each place may move, (count,) int64.

        FREE places may move along any edge, those within a border or a seam along it, LOCKED
        ones, where lines meet or end, not at all. A place with one look is on no seam, even if
        one ends at its neighbour, as they do around the pole of a globe.
        """
        found = np.zeros(count, dtype=np.int64)
        tally = {
            line: np.bincount(self.ends[self.lines == line].reshape(-1), minlength=count)
            for line in (BORDER, SEAM, LOCKED)
        }
        on_border, on_seam = tally[BORDER], tally[SEAM]
        found[(on_border == 2) & (on_seam == 0)] = BORDER
        found[(on_seam == 2) & (on_border == 0)] = SEAM
        ends_here = (on_seam > 0) & ~_has_one_look(faces, count)
        special = (on_border > 0) | ends_here
        found[(found == SEAM) & ~special] = FREE
        found[(special & (found == FREE)) | (tally[LOCKED] > 0)] = LOCKED
        return found


def _has_one_look(faces: SeamedFaces, count: int) -> NDArray[np.bool_]:
    """Say which places have one wedge and faces of one material, (count,) bool."""
    places = faces.places.reshape(-1)
    one = np.ones(count, dtype=bool)
    for looks in (faces.wedges.reshape(-1), np.repeat(faces.kinds, 3)):
        any_of = np.zeros(count, dtype=np.int64)
        any_of[places] = looks
        one[places[any_of[places] != looks]] = False
    return one


def edge_table(faces: SeamedFaces) -> EdgeTable:
    """Find all edges and what lies on both sides of them."""
    places = faces.places
    order, starts, counts = edge_groups(places)
    one = order[starts]
    other = np.where(counts > 1, order[np.minimum(starts + 1, len(order) - 1)], one)
    corners, nexts = places.reshape(-1), np.roll(places, -1, axis=1).reshape(-1)
    wedges, next_wedges = faces.wedges.reshape(-1), np.roll(faces.wedges, -1, axis=1).reshape(-1)
    agree = corners[one] == nexts[other]
    breaks = (wedges[one] != next_wedges[other]) | (next_wedges[one] != wedges[other])
    breaks |= faces.kinds[one // 3] != faces.kinds[other // 3]
    lines = np.where(breaks, SEAM, FREE)
    lines[counts == 1] = BORDER
    lines[(counts > 2) | ((counts == 2) & ~agree)] = LOCKED
    ends = np.sort(np.stack([corners[one], nexts[one]], axis=1), axis=1)
    sides = np.stack([one, np.where(counts > 1, other, -1)], axis=1)
    return EdgeTable(ends, sides, lines.astype(np.int64))
