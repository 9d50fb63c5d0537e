"""How sharply a surface turns where two patches meet, whatever its noise and its triangles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags, identity

from backend.meshes.parts.surface import Surface

REACH_SHARE = 0.12
MOST_ROUNDS = 100
STRONG_CONTRAST = 60.0
"""Distance in CIE Lab."""


@dataclass(frozen=True)
class Creases:
    """What lies between neighbouring faces.

    Parameters
    ----------
    turns : (e,) float64
        Radians; positive where the surface is concave.
    contrasts : (e,) float64
        Of colours, from 0 to 1.
    """

    turns: NDArray[np.float64]
    contrasts: NDArray[np.float64]


def contrast(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compare colours (CIE Lab, (n, 3)); 0 for the same, 1 for quite different."""
    return np.asarray(np.minimum(np.linalg.norm(first - second, axis=1) / STRONG_CONTRAST, 1))


def find_creases(
    surface: Surface,
    patches: NDArray[np.int64],
    colors: NDArray[np.float64] | None = None,
) -> Creases:
    """Measure the turn and the contrast between neighbours, each side seen from some way off.

    Normals and colours are averaged within each patch first: noise cancels, an edge between
    patches stays sharp, and a fillet of many small turns counts as one.

    Parameters
    ----------
    patches : (m,) int64
    colors : (m, 3) float64 or None
        CIE Lab.
    """
    i, j = surface.pairs.T
    facts = surface.normals if colors is None else np.hstack([surface.normals, colors])
    means = _averaged(surface, patches, facts)
    normals = means[:, :3] / np.maximum(np.linalg.norm(means[:, :3], axis=1), 1e-12)[:, None]
    sine = np.linalg.norm(np.cross(normals[i], normals[j]), axis=1)
    turns = np.arctan2(sine, np.einsum("ij,ij->i", normals[i], normals[j]))
    towards = surface.centres[j] - surface.centres[i]
    concave = np.einsum("ij,ij->i", normals[j] - normals[i], towards) < 0
    contrasts = np.zeros(len(i)) if colors is None else contrast(means[i, 3:], means[j, 3:])
    return Creases(np.where(concave, turns, -turns), contrasts)


def _averaged(
    surface: Surface, patches: NDArray[np.int64], facts: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Average facts of faces within each patch, over a reach that is a share of the size."""
    i, j = surface.pairs.T
    inside = (patches[i] == patches[j]).astype(np.float64)
    step = float(np.sqrt(surface.areas.sum() / max(len(surface.areas), 1)))
    reach = REACH_SHARE * surface.size
    rounds = int(np.clip(round((reach / max(step, 1e-12)) ** 2), 1, MOST_ROUNDS))
    links = surface.graph(inside * surface.lengths) + 1e-9 * identity(len(patches), format="csr")
    links = links + diags(np.asarray(links.sum(axis=1)).reshape(-1) * 0.5)
    links = csr_matrix(links @ diags(surface.areas + 1e-15))
    average = diags(1 / np.maximum(np.asarray(links.sum(axis=1)).reshape(-1), 1e-300)) @ links
    for _ in range(rounds):
        facts = average @ facts
    return facts
