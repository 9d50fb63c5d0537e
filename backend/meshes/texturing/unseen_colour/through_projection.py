"""Which places of the back may show what the picture shows before them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from backend.meshes.masks import Mask
from backend.meshes.texturing.unseen_colour.few_colours import lab
from backend.meshes.texturing.unseen_colour.mixed_rims import find_mixed_rims
from backend.meshes.texturing.unseen_colour.picture_crop import PictureCrop
from backend.meshes.texturing.unseen_colour.picture_islands import WORK_PX, Regions
from backend.meshes.texturing.unseen_colour.picture_view import PictureView, sampled
from backend.meshes.texturing.unseen_colour.surface_graph import SurfaceGraph

MOST_DIFFERENCE = 28.0
BLUR_SHARE, SCATTERED_BLUR_SHARE = 0.02, 0.08
"""Of the picture. What is scattered is compared by its mean with what lies between: colours that
have spread are a mean as well."""
CRUMB_ROUNDS, LEAST_AGREEMENT = 8, 0.55
LEAST_GAP_SHARE = 0.02

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
    beyond: NDArray[np.bool_],
    diffused: Values,
) -> NDArray[np.bool_]:
    """Find the hidden nodes of the back for which the picture is a likely guess.

    The picture must show no island there, and must agree with the colours that spread over the
    surface; what goes round may differ. Lone nodes among others that were decided otherwise follow
    these. Where whole areas disagree and what lies around them is of many colours, the picture is
    still the best guess.

    Parameters
    ----------
    points : (n, 3) float64
        Of the nodes, in the unit of the picture's frame.
    hidden : (n,) bool
        Those that are asked for.
    beyond : (n,) bool
        Those before which the picture shows another body: what goes round that one does not go
        round theirs.
    diffused : (n, 3) float64
        Colours that spread over the surface, 0 to 255.

    Returns
    -------
    (n,) bool
    """
    allowed = hidden & turned_away(view, graph.normals)
    if not allowed.any():
        return allowed
    pixels = view.pixels(points)
    on_island = sampled(regions.islands, pixels) > 0.5
    goes_round = (sampled(regions.around, pixels) > 0.5) & ~beyond
    is_scattered = sampled(regions.scattered, pixels) > 0.5
    size_px = max(view.core.shape)
    means = view.colours_at(points, BLUR_SHARE * size_px)
    if is_scattered.any():
        wide = points[is_scattered]
        means[is_scattered] = view.colours_at(wide, SCATTERED_BLUR_SHARE * size_px)
    difference = np.linalg.norm(lab(means) - lab(diffused), axis=1)
    likely = allowed & ~on_island & (goes_round | (difference < MOST_DIFFERENCE))
    asked = np.stack([likely, allowed], axis=1).astype(np.float64)
    like, all_of = graph.smoothed(asked, CRUMB_ROUNDS).T
    kept: NDArray[np.bool_] = likely & (like > LEAST_AGREEMENT * all_of)
    unsettled = _unsettled(view.core, regions, pixels, allowed, kept)
    return kept | (allowed & ~on_island & unsettled)


def _unsettled(
    core: Mask,
    regions: Regions,
    pixels: Values,
    allowed: NDArray[np.bool_],
    kept: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Say which nodes lie in gaps of the picture that the colours around them do not close."""
    crop = PictureCrop.of(core, WORK_PX)
    if regions.labels.shape != crop.shape:
        return np.zeros_like(kept)
    _, nearest = cKDTree(pixels[allowed]).query(crop.pixels())
    is_gap = ~kept[allowed][nearest].reshape(crop.shape)
    gaps = is_gap & (crop.small(core) > 0.5)
    unsettled = find_mixed_rims(gaps, regions.labels, LEAST_GAP_SHARE)
    found: NDArray[np.bool_] = sampled(unsettled.astype(np.float32), crop.places(pixels)) > 0.5
    return found
