"""Colours that spread over a surface and keep edges between them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.meshes.texturing.unseen_colour.few_colours import sorted_colours
from backend.meshes.texturing.unseen_colour.harmonic_fill import Values, fill
from backend.meshes.texturing.unseen_colour.surface_graph import SurfaceGraph

CRISPNESS = 4.0
"""Power of memberships: 1 is the plain fill, mush between red and blue; much more shows the edges
between shades of a gradient. Tried on the tuning objects of ``bench/texture_projection.py``."""
LEAST_MEMBERSHIP = 1e-9  # to divide by


def crisp_fill(graph: SurfaceGraph, colours: Values, is_known: NDArray[np.bool_]) -> Values:
    """Give each unknown node the colour whose known nodes are most likely to be met first.

    Known colours are sorted into few. How much a node belongs to one of these is the probability
    that a random walk from it meets that colour first; each colour spreads over the nodes that
    belong to it, in its own shades.

    Parameters
    ----------
    graph : SurfaceGraph
    colours : (n, 3) float64
        0 to 255; read at known nodes.
    is_known : (n,) bool
        At least one.

    Returns
    -------
    (n, 3) float64
        Known nodes as they were. Of one colour alone, as ``fill``.

    Source
    ------
    Grady, "Random walks for image segmentation" (2006).
    """
    known = np.flatnonzero(is_known)
    names, number = np.unique(sorted_colours(colours[known]), return_inverse=True)
    table = np.zeros((len(colours), len(names), 4))
    table[known, number, 0] = 1
    table[known, number, 1:] = colours[known]
    spread = fill(graph, table.reshape(len(table), -1), is_known).reshape(table.shape)
    membership = np.maximum(spread[..., :1], LEAST_MEMBERSHIP)
    share = membership**CRISPNESS
    mixed = (share * spread[..., 1:] / membership).sum(axis=1) / share.sum(axis=1)
    return np.asarray(mixed)
