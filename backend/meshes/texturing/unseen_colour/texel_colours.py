"""A colour for every texel: the picture itself wherever it may be shown, else what was filled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.catalog import BackSide
from backend.meshes.texturing.texel_map import TexelMap
from backend.meshes.texturing.unseen_colour.completed_back import CompletedBack
from backend.meshes.texturing.unseen_colour.node_colours import NodeColours, Surroundings
from backend.meshes.texturing.unseen_colour.picture_view import sampled

TEXELS_AT_A_TIME = 1 << 15  # few enough to stay in the cache

Values = NDArray[np.float64]


def node_table(around: Surroundings, made: NodeColours, back: CompletedBack | None) -> Values:
    """Give every vertex its node's colour and its shares of picture and completed back, (v, 5)."""
    taken = np.zeros(len(made.through)) if back is None else back.taken
    return around.graph.to_vertices(np.column_stack([made.colours, made.through, taken]))


def colour_texels(
    around: Surroundings,
    islands: NDArray[np.float32] | None,
    back: CompletedBack | None,
    back_side: BackSide,
    texels: TexelMap,
    table: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Blend filled, completed, through-projected, reflected and seen colours, each over others.

    Parameters
    ----------
    islands : (h, w) float32 or None
        Pixels of the front picture that do not show through.
    back : CompletedBack or None
        What is shown instead.
    texels : TexelMap
        In the graph's unit.
    table : (k, 5) float32
        ``node_table`` between the vertices.

    Returns
    -------
    (k, 3) float32
        From 0 to 1.
    """
    colours = np.zeros((len(table), 3), dtype=np.float32)
    for start in range(0, len(table), TEXELS_AT_A_TIME):
        some = slice(start, start + TEXELS_AT_A_TIME)
        points = texels.positions[some].astype(np.float64)
        normals = texels.normals[some].astype(np.float64)
        found = _coloured(around, islands, back, back_side, points, normals, table[some])
        colours[some] = np.clip(found / 255, 0, 1)
    return colours


def _coloured(
    around: Surroundings,
    islands: NDArray[np.float32] | None,
    back: CompletedBack | None,
    back_side: BackSide,
    points: Values,
    normals: Values,
    table: NDArray[np.float32],
) -> Values:
    """Colour some texels, 0 to 255; guesses are made only where pictures leave room for them."""
    weight, shown = around.seen(points, normals)
    unsure = np.flatnonzero(weight < 1)
    guessed = table[unsure, :3].astype(np.float64)
    if back is not None:
        _show_completed(around, back, points[unsure], table[unsure, 4], guessed)
    _show_through(around, islands, points[unsure], table[unsure, 3], guessed)
    if back_side is BackSide.AUTO and around.plane is not None:
        share, over = around.reflected(points[unsure], normals[unsure])
        guessed += share[:, None] * (over - guessed)
    shown[unsure] = guessed + weight[unsure, None] * (shown[unsure] - guessed)
    return shown


def _show_completed(
    around: Surroundings,
    back: CompletedBack,
    points: Values,
    share: NDArray[np.float32],
    colours: Values,
) -> None:
    asked = np.flatnonzero(share > 0)
    put, shown = back.at(around.views[0].pixels(around.frame.to_mesh(points[asked])))
    weight = (share[asked] * put).astype(np.float64)
    colours[asked] += weight[:, None] * (shown - colours[asked])


def _show_through(
    around: Surroundings,
    islands: NDArray[np.float32] | None,
    points: Values,
    share: NDArray[np.float32],
    colours: Values,
) -> None:
    front = around.views[0]
    asked = np.flatnonzero(share > 0)
    pixels = front.pixels(around.frame.to_mesh(points[asked]))
    weight = np.clip(share[asked], 0, 1).astype(np.float64)
    if islands is not None:
        weight *= 1 - sampled(islands, pixels)
    shown = sampled(front.colours, pixels)
    colours[asked] += weight[:, None] * (shown - colours[asked])
