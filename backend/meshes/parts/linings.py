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
    hosts = hosts[np.argsort(volumes[hosts], kind="stable")]  # the tightest first
    inner = kept[volumes[kept] < 0]
    if not len(inner) or not len(hosts):
        return {}
    order = np.argsort(welded.bodies, kind="stable")
    ends = np.searchsorted(welded.bodies[order], np.arange(len(volumes) + 1))
    low, high = _boxes(welded, order, ends[:-1])
    found = {}
    for lining in inner:
        point = welded.vertices[welded.faces[order[ends[lining]], 0]]
        around = ((low[hosts] <= point) & (point <= high[hosts])).all(axis=1)
        for host in hosts[around]:
            faces = order[ends[host] : ends[host + 1]]
            if _turns(welded.vertices[welded.faces[faces]], point) > INSIDE_TURNS:
                found[int(lining)] = int(host)
                break
    return found


def _boxes(
    welded: Welded, order: NDArray[np.int64], starts: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lowest and highest corner of each body, (n, 3) each."""
    corners = welded.vertices[welded.faces[order]]
    low = np.minimum.reduceat(corners.min(axis=1), starts, axis=0)
    return low, np.maximum.reduceat(corners.max(axis=1), starts, axis=0)


def _volumes(welded: Welded) -> NDArray[np.float64]:
    middle = welded.vertices.mean(axis=0)
    a, b, c = (welded.vertices[welded.faces[:, corner]] - middle for corner in range(3))
    signed = np.einsum("ij,ij->i", a, np.cross(b, c)) / 6
    return np.bincount(welded.bodies, signed).astype(np.float64)


def _turns(corners: NDArray[np.float64], point: NDArray[np.float64]) -> float:
    """Count how often triangles (m, 3, 3) wind around a point: 1 inside, 0 outside.

    Source
    ------
    Van Oosterom, Strackee, "The solid angle of a plane triangle" (1983).
    """
    a, b, c = np.moveaxis(corners - point, 1, 0)
    la, lb, lc = (np.linalg.norm(side, axis=1) for side in (a, b, c))
    above = np.einsum("ij,ij->i", a, np.cross(b, c))
    ab, bc, ca = ((x * y).sum(axis=1) for x, y in ((a, b), (b, c), (c, a)))
    below = la * lb * lc + ab * lc + bc * la + ca * lb
    return float(2 * np.arctan2(above, below).sum() / (4 * np.pi))
