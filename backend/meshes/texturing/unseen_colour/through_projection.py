"""Which places of the back may show what the picture shows before them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.meshes.texturing.unseen_colour.few_colours import lab
from backend.meshes.texturing.unseen_colour.picture_islands import Regions
from backend.meshes.texturing.unseen_colour.picture_view import PictureView, sampled
from backend.meshes.texturing.unseen_colour.surface_graph import SurfaceGraph

MOST_DIFFERENCE, MOST_BELT_DIFFERENCE = 28.0, 40.0
BLUR_SHARE, SCATTERED_BLUR_SHARE = 0.02, 0.08
"""Of the picture. What is scattered is compared by its mean with what lies between: colours that
have spread are a mean as well."""
CRUMB_ROUNDS, LEAST_AGREEMENT = 8, 0.55

Values = NDArray[np.float64]


def turned_away(view: PictureView, normals: Values) -> NDArray[np.bool_]:
    """Say which places face away from a picture, or too steeply to be fully seen, (n,) bool."""
    away: NDArray[np.bool_] = normals @ view.towards < view.facing.full
    return away


def shows_through(
    view: PictureView,
    regions: Regions,
    graph: SurfaceGraph,
    points: Values,
    hidden: NDArray[np.bool_],
    diffused: Values,
    *,
    has_more_behind: bool,
) -> NDArray[np.bool_]:
    """Find the hidden nodes of the back for which the picture is a likely guess.

    The picture must show no island there, and must agree with the colours that spread over the
    surface; what goes round as a belt may differ more. Lone nodes among others that were decided
    otherwise follow these.

    Parameters
    ----------
    points : (n, 3) float64
        Of the nodes, in the unit of the picture's frame.
    hidden : (n,) bool
        Those that are asked for.
    diffused : (n, 3) float64
        Colours that spread over the surface, 0 to 255.
    has_more_behind : bool
        There may be something else behind, as a cape is; else belts may differ at will.

    Returns
    -------
    (n,) bool
    """
    allowed = hidden & turned_away(view, graph.normals)
    if not allowed.any():
        return allowed
    pixels = view.pixels(points)
    on_island = sampled(regions.islands, pixels) > 0.5
    on_belt = sampled(regions.around, pixels) > 0.5
    is_scattered = sampled(regions.scattered, pixels) > 0.5
    size_px = max(view.core.shape)
    means = view.colours_at(points, BLUR_SHARE * size_px)
    if is_scattered.any():
        wide = points[is_scattered]
        means[is_scattered] = view.colours_at(wide, SCATTERED_BLUR_SHARE * size_px)
    difference = np.linalg.norm(lab(means) - lab(diffused), axis=1)
    most_on_belt = MOST_BELT_DIFFERENCE if has_more_behind else np.inf
    most = np.where(on_belt, most_on_belt, MOST_DIFFERENCE)
    likely = allowed & ~on_island & (difference < most)
    asked = np.stack([likely, allowed], axis=1).astype(np.float64)
    like, all_of = graph.smoothed(asked, CRUMB_ROUNDS).T
    kept: NDArray[np.bool_] = likely & (like > LEAST_AGREEMENT * all_of)
    return kept
