"""What the back shows where the picture before it is no likely guess: more of the same kind."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from backend.meshes.masks import Mask, bounds
from backend.meshes.texturing.unseen_colour.few_colours import lab
from backend.meshes.texturing.unseen_colour.node_colours import NodeColours, Surroundings
from backend.meshes.texturing.unseen_colour.picture_completion import completed
from backend.meshes.texturing.unseen_colour.picture_view import PictureView, sampled

WORK_PX = 256
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
    colours : (h, w, 3) float32
        0 to 255.
    share : (h, w) float32
        1 where something else was put.
    taken : (n,) float64
        How far each node may show it, 0 to 1.
    """

    colours: Rgb
    share: NDArray[np.float32]
    taken: Values


@dataclass(frozen=True)
class _Crop:
    """The object in the picture, made small.

    Parameters
    ----------
    top, left : int
        Where it begins.
    size : tuple of int
        Its rows and columns in the picture.
    shape : tuple of int
        Its rows and columns when small.
    """

    top: int
    left: int
    size: tuple[int, int]
    shape: tuple[int, int]

    @classmethod
    def of(cls, core: Mask) -> _Crop:
        top, bottom, left, right = bounds(core)
        size = (bottom - top, right - left)
        factor = min(1.0, WORK_PX / max(size))
        return cls(
            top, left, size, (max(8, round(size[0] * factor)), max(8, round(size[1] * factor)))
        )

    @property
    def box(self) -> tuple[slice, slice]:
        return (
            slice(self.top, self.top + self.size[0]),
            slice(self.left, self.left + self.size[1]),
        )

    def small(self, image: NDArray[np.generic]) -> NDArray[np.float32]:
        part = image[self.box].astype(np.float32)
        return np.asarray(cv2.resize(part, self.shape[::-1], interpolation=cv2.INTER_AREA))

    def pixels(self) -> Values:
        """Where the middles of the small pixels lie in the picture, x and y, (n, 2)."""
        step = np.array(self.size) / self.shape
        rows, columns = np.indices(self.shape).reshape(2, -1)
        places = (np.stack([rows, columns], axis=1) + 0.5) * step - 0.5 + (self.top, self.left)
        return np.asarray(places[:, ::-1])


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
    crop = _Crop.of(front.core)
    expected, through = _in_picture(around, nodes, back, crop)
    inside = crop.small(front.core) > 0.5
    island = sampled(nodes.islands, crop.pixels()).reshape(crop.shape)
    hole = inside & (np.clip(through, 0, 1) * (1 - island) < 0.5)
    source = inside & (island < 0.5)
    is_small = np.count_nonzero(hole) < LEAST_HOLE_SHARE * np.count_nonzero(inside)
    if is_small or np.count_nonzero(source) < LEAST_SOURCE_PX:
        return None
    taken = completed(_lab(crop.small(front.colours)), source, hole, _lab(expected))
    colours, share = _enlarged(front, crop, taken, hole)
    shown = around.graph.smoothed(back.astype(np.float64), SOFTENED_ROUNDS)
    return CompletedBack(colours, share, shown)


def _back_nodes(around: Surroundings, nodes: NodeColours) -> NDArray[np.bool_]:
    """Which nodes somebody behind the object sees, and nothing tells of."""
    front, graph = around.views[0], around.graph
    away = graph.normals @ front.towards < front.facing.full
    back = away & ~nodes.seen & ~nodes.reflected & (nodes.through >= 0)
    if around.has_insides:
        back &= front.outermost_behind(around.frame.to_mesh(graph.points))
    return np.asarray(back)


def _in_picture(
    around: Surroundings, nodes: NodeColours, back: NDArray[np.bool_], crop: _Crop
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


def _enlarged(
    front: PictureView, crop: _Crop, taken: NDArray[np.int64], hole: Mask
) -> tuple[Rgb, NDArray[np.float32]]:
    """Take from the picture itself what was found in the small one.

    Neighbours that take the same part show it sharply; where they do not, they are mixed.
    """
    offset = _offsets_px(crop, taken, hole)
    rows, columns = np.indices(crop.size, dtype=np.float32)
    own = np.dstack([columns + crop.left, rows + crop.top])
    mixed = np.zeros((*crop.size, 3), dtype=np.float32)
    picture = front.colours.astype(np.float32)
    for down, right in itertools.product(range(3), range(3)):
        beside = offset[down : down + crop.shape[0], right : right + crop.shape[1]]
        places = own + cv2.resize(beside, crop.size[::-1], interpolation=cv2.INTER_NEAREST)
        mixed += cv2.remap(picture, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    picture[crop.box] = mixed / 9
    share = np.zeros(picture.shape[:2], dtype=np.float32)
    share[crop.box] = cv2.resize(hole.astype(np.float32), crop.size[::-1])
    return picture, share


def _offsets_px(crop: _Crop, taken: NDArray[np.int64], hole: Mask) -> NDArray[np.float32]:
    """How far right and down each small pixel looks, in pixels of the picture, with a rim of one.

    Outside the hole as in it next to there: what is there itself must not be mixed in.
    """
    rows, columns = np.indices(crop.shape)
    off = (taken - np.dstack([rows, columns])) * (np.array(crop.size) / crop.shape)
    near = ndimage.distance_transform_edt(~hole, return_distances=False, return_indices=True)
    inside = off[tuple(near)][..., ::-1].astype(np.float32)
    return np.pad(inside, ((1, 1), (1, 1), (0, 0)), mode="edge")
