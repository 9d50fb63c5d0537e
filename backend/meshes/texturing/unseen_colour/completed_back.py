"""What the back shows where the picture before it is no likely guess: more of the same kind."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from backend.meshes.masks import Mask
from backend.meshes.texturing.unseen_colour.few_colours import lab
from backend.meshes.texturing.unseen_colour.node_colours import NodeColours, Surroundings
from backend.meshes.texturing.unseen_colour.picture_completion import completed
from backend.meshes.texturing.unseen_colour.picture_crop import PictureCrop
from backend.meshes.texturing.unseen_colour.picture_view import sampled

WORK_PX, DETAIL_PX = 256, 1024
NEAREST_NODES = 3
LEAST_NODES, LEAST_HOLE_SHARE, LEAST_SOURCE_PX = 20, 0.01, 200
SOFTENED_ROUNDS = 2

Values = NDArray[np.float64]
Rgb = NDArray[np.float32]


@dataclass(frozen=True)
class CompletedBack:
    """The front picture with other content where its own is not expected behind.

    Parameters
    ----------
    crop : PictureCrop
        Where it lies in the front picture.
    colours : (h, w, 3) float32
        0 to 255.
    share : (h, w) float32
        1 where something else was put.
    taken : (n,) float64
        How far each node may show it, 0 to 1.
    """

    crop: PictureCrop
    colours: Rgb
    share: NDArray[np.float32]
    taken: Values

    def at(self, pixels: Values) -> tuple[NDArray[np.float32], Rgb]:
        """Look up pixels of the front picture, (n, 2): share, (n,), and colour, (n, 3)."""
        places = self.crop.places(pixels)
        return sampled(self.share, places), sampled(self.colours, places)


def complete_back(around: Surroundings, nodes: NodeColours) -> CompletedBack | None:
    """Complete the front picture for the back.

    Returns
    -------
    CompletedBack or None
        None where the picture may show through as it is, or too little is known to go on.
    """
    front = around.views[0]
    back = _back_nodes(around, nodes)
    if nodes.islands is None or np.count_nonzero(back) < LEAST_NODES:
        return None
    crop = PictureCrop.of(front.core, WORK_PX)
    expected, through = _in_picture(around, nodes, back, crop)
    inside = crop.small(front.core) > 0.5
    island = sampled(nodes.islands, crop.pixels()).reshape(crop.shape)
    hole = inside & (np.clip(through, 0, 1) * (1 - island) < 0.5)
    source = inside & (island < 0.5)
    is_small = np.count_nonzero(hole) < LEAST_HOLE_SHARE * np.count_nonzero(inside)
    if is_small or np.count_nonzero(source) < LEAST_SOURCE_PX:
        return None
    taken = completed(_lab(crop.small(front.colours)), source, hole, _lab(expected))
    fine = PictureCrop.of(front.core, DETAIL_PX)
    colours = _mixed(fine.small(front.colours), _offsets(taken, hole))
    share = cv2.resize(hole.astype(np.float32), fine.shape[::-1])
    shown = around.graph.smoothed(back.astype(np.float64), SOFTENED_ROUNDS)
    return CompletedBack(fine, colours, np.asarray(share), shown)


def _back_nodes(around: Surroundings, nodes: NodeColours) -> NDArray[np.bool_]:
    """Which nodes somebody behind the object sees, and nothing tells of."""
    front, graph = around.views[0], around.graph
    away = graph.normals @ front.towards < front.facing.full
    back = away & ~nodes.seen & ~nodes.reflected & (nodes.through >= 0)
    if around.has_insides:
        back &= front.outermost_behind(around.frame.to_mesh(graph.points))
    return np.asarray(back)


def _in_picture(
    around: Surroundings, nodes: NodeColours, back: NDArray[np.bool_], crop: PictureCrop
) -> tuple[Rgb, Values]:
    """Look at the nodes of the back through the picture: colours, and how far they show it."""
    places = around.views[0].pixels(around.frame.to_mesh(around.graph.points[back]))
    away, nearest = cKDTree(places).query(crop.pixels(), k=NEAREST_NODES)
    weights = 1 / (np.asarray(away) + 1e-3)
    weights /= weights.sum(axis=1, keepdims=True)
    table = np.column_stack([nodes.colours, nodes.through])[back]
    found = np.einsum("ij,ijk->ik", weights, table[nearest]).reshape(*crop.shape, 4)
    return found[..., :3].astype(np.float32), found[..., 3]


def _lab(rgb: Rgb) -> Rgb:
    return lab(rgb.reshape(-1, 3)).reshape(rgb.shape)


def _offsets(taken: NDArray[np.int64], hole: Mask) -> NDArray[np.float32]:
    """How far right and down each pixel looks, (h, w, 2), as shares of the whole.

    Outside the hole as in it next to there: what is there itself must not be mixed in.
    """
    off = taken - np.moveaxis(np.indices(hole.shape), 0, -1)
    near = ndimage.distance_transform_edt(~hole, return_distances=False, return_indices=True)
    return np.asarray((off[tuple(near)] / hole.shape)[..., ::-1], dtype=np.float32)


def _mixed(picture: Rgb, offsets: NDArray[np.float32]) -> Rgb:
    """Take from a finer picture what was found in the small one.

    Neighbours that take the same part show it sharply; where they do not, they are mixed.
    """
    height, width = picture.shape[:2]
    rows, columns = np.indices((height, width), dtype=np.float32)
    moves = np.pad(
        offsets * np.array([width, height], dtype=np.float32), ((1, 1), (1, 1), (0, 0)), mode="edge"
    )
    mixed = np.zeros_like(picture)
    for down, right in itertools.product(range(3), range(3)):
        beside = moves[down : down + offsets.shape[0], right : right + offsets.shape[1]]
        move = cv2.resize(beside, (width, height), interpolation=cv2.INTER_NEAREST)
        x, y = columns + move[..., 0], rows + move[..., 1]
        mixed += cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(mixed / 9)
