"""Inner skins of things that were made hollow: they go with the skin around them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.meshes.parts.welding import Welded

INSIDE_TURNS = 0.9


def find_linings(welded: Welded, kept: NDArray[np.int64]) -> dict[int, int]:
    """Find bodies that are inside out and lie within another one.

    Parameters
    ----------
    kept : (k,) int64
        The bodies to ask about.

    Returns
    -------
    dict of int to int
        The body around each lining.
    """
    volumes = _volumes(welded)
    hosts = kept[volumes[kept] > 0]
    found = {}
    for lining in kept[volumes[kept] < 0]:
        point = welded.vertices[welded.faces[np.flatnonzero(welded.bodies == lining)[0], 0]]
        for host in hosts[np.argsort(volumes[hosts], kind="stable")]:  # the tightest first
            if _turns(welded, int(host), point) > INSIDE_TURNS:
                found[int(lining)] = int(host)
                break
    return found


def _volumes(welded: Welded) -> NDArray[np.float64]:
    middle = welded.vertices.mean(axis=0)
    a, b, c = (welded.vertices[welded.faces[:, corner]] - middle for corner in range(3))
    signed = np.einsum("ij,ij->i", a, np.cross(b, c)) / 6
    return np.bincount(welded.bodies, signed).astype(np.float64)


def _turns(welded: Welded, body: int, point: NDArray[np.float64]) -> float:
    """Count how often a body winds around a point: 1 inside, 0 outside.

    Source
    ------
    Van Oosterom, Strackee, "The solid angle of a plane triangle" (1983).
    """
    corners = welded.vertices[welded.faces[welded.bodies == body]] - point
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    la, lb, lc = (np.linalg.norm(side, axis=1) for side in (a, b, c))
    above = np.einsum("ij,ij->i", a, np.cross(b, c))
    ab, bc, ca = ((x * y).sum(axis=1) for x, y in ((a, b), (b, c), (c, a)))
    below = la * lb * lc + ab * lc + bc * la + ca * lb
    return float(2 * np.arctan2(above, below).sum() / (4 * np.pi))
