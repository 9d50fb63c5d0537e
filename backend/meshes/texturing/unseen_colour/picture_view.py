"""A picture of the object and what of the surface it shows."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.meshes.frame import PictureFrame
from backend.meshes.masks import Mask
from backend.meshes.texturing.rasteriser import PixelRule, nearest_depths
from backend.meshes.texturing.unseen_colour.outward_colours import (
    distance_inside,
    push_outwards,
    sure_inside,
)
from backend.meshes.texturing.unseen_colour.rim_background import without_background
from backend.meshes.triangle_mesh import TriangleMesh

DEPTH_PX_PER_UNIT, MOST_DEPTH_PX = 600, 1024
DEPTH_SLACK = 0.012
DEPTH_JUMP = 0.03
EDGE_SHARE = 2 / 768
NOWHERE = 1e3
REGION_GAP_SHARE = 0.004
STEEPEST = 8.0
LONELY_BANDS = 4
SAMPLES_ACROSS = 1024

Values = NDArray[np.float64]


@dataclass(frozen=True)
class GivenPicture:
    """A picture as it is handed in.

    Parameters
    ----------
    rgb : (h, w, 3) uint8
    mask : (h, w) bool
        Object in this picture.
    frame : PictureFrame
        From the mesh, turned by minus ``azimuth_deg`` about +Y, to pixels of this picture.
    azimuth_deg : float
        0 looks at +Z, 90 at +X.
    edge_px : float
        How far object and background run into each other.
    """

    rgb: NDArray[np.uint8]
    mask: Mask
    frame: PictureFrame
    azimuth_deg: float = 0.0
    edge_px: float = 0.0


@dataclass(frozen=True)
class Facing:
    """How steeply a surface may be seen to count: from nothing at ``none`` to all at ``full``.

    Parameters
    ----------
    none, full : float
        Cosines between normal and view.
    """

    none: float = 0.2
    full: float = 0.4

    def weight(self, cosine: Values) -> Values:
        """Weight of a place by the cosine, 0 to 1."""
        share = np.clip((cosine - self.none) / (self.full - self.none), 0, 1)
        return np.asarray(share * share * (3 - 2 * share))


class PictureView:
    """Projects a surface into a picture.

    Parameters
    ----------
    given : GivenPicture
    mesh : TriangleMesh
        What may hide itself; in the unit of the frame.
    size : float
        Length in that unit that counts as 1.
    facing : Facing
    """

    def __init__(
        self, given: GivenPicture, mesh: TriangleMesh, size: float, facing: Facing
    ) -> None:
        self.given, self.size, self.facing, self._mesh = given, size, facing, mesh
        angle = np.radians(given.azimuth_deg)
        self.towards = np.array([np.sin(angle), 0.0, np.cos(angle)])
        self._right = np.array([np.cos(angle), 0.0, -np.sin(angle)])
        inside = sure_inside(given.mask, given.edge_px)
        self.core = without_background(given.rgb, given.mask, inside)
        self.colours = push_outwards(given.rgb, self.core)
        self._depth = self._heights(mesh, 1.0)
        self._trust = self._trusted()

    def multiplied(self, gain: Values) -> PictureView:
        """Give the same view with brighter or darker colours; ``gain`` is (3,) float64."""
        twin = copy(self)
        levels = np.clip(np.rint(np.arange(256)[:, None] * gain), 0, 255).astype(np.uint8)
        twin.colours = np.asarray(cv2.LUT(self.colours, levels[None]), dtype=np.uint8)
        return twin

    @property
    def px_size(self) -> float:
        """Side of a pixel where the object is about 1 in size."""
        return self.given.frame.metres_per_px / self.size

    def pixels(self, points: Values) -> Values:
        """Place of points in the picture, x and y, (n, 2) float64."""
        return self.given.frame.to_pixels(self._turned(points))

    def colours_at(
        self, points: Values, blur_px: float = 0.0, left_out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Colours where points lie in the picture, carried beyond the outline.

        Parameters
        ----------
        points : (n, 3) float64
        blur_px : float
        left_out : (h, w) float32 or None
            1 at pixels that take the nearest colour beside them before anything is blurred.

        Returns
        -------
        (n, 3) float32
            From 0 to 255.
        """
        picture = self.colours
        if left_out is not None:
            picture = push_outwards(picture, left_out < 0.5)
        if blur_px > 0:
            picture = cv2.GaussianBlur(picture, (0, 0), blur_px)
        return sampled(picture, self.pixels(points))

    def seen(
        self, points: Values, normals: Values, slack: float = DEPTH_SLACK
    ) -> NDArray[np.float64]:
        """How well the picture shows each place of the surface, (n,) float64 from 0 to 1.

        Parameters
        ----------
        points, normals : (n, 3) float64
        slack : float
            How far a place may lie behind what is nearest, where the object is about 1 in size.
        """
        cosine = normals @ self.towards
        weight = self.facing.weight(cosine)
        asked = np.flatnonzero(weight > 0)
        turned = self._turned(points[asked])
        pixels = self.given.frame.to_pixels(turned)
        half = np.array(self.given.mask.shape[::-1]) / 2
        within = (np.abs(pixels + 0.5 - half) <= half).all(axis=1)
        depth = sampled(self._depth, self._on_depth(pixels), cv2.INTER_NEAREST)
        steep = np.sqrt(np.maximum(1 - cosine[asked] ** 2, 0)) / np.maximum(cosine[asked], 1e-3)
        room = slack + self._depth_px_size() * np.minimum(steep, STEEPEST)
        met = within & (np.abs(depth - turned[:, 2] / self.size) < room)
        trust = sampled(self._trust, self._on_depth(pixels))
        weight[asked] *= np.where(met, trust, 0)
        return weight

    def _turned(self, points: Values) -> Values:
        """Turn points so that this side faces +Z."""
        return np.stack([points @ self._right, points[:, 1], points @ self.towards], axis=1)

    def _depth_scale(self) -> float:
        """Pixels of the map of depths per pixel of the picture: as many as the object needs."""
        needed = DEPTH_PX_PER_UNIT * self.px_size
        return float(min(needed, MOST_DEPTH_PX / max(self.given.mask.shape)))

    def _depth_px_size(self) -> float:
        size: float = self.px_size / self._depth_scale()
        return size

    def _on_depth(self, pixels: Values) -> Values:
        height, width = self.given.mask.shape
        factors = np.array([self._depth.shape[1] / width, self._depth.shape[0] / height])
        return np.asarray((pixels + 0.5) * factors - 0.5)

    def _heights(self, mesh: TriangleMesh, side: float) -> NDArray[np.float32]:
        """Height towards the viewer of what is nearest in each pixel, seen from either side.

        ``side`` is 1 for the viewer and -1 for somebody opposite; far behind where nothing is.
        """
        height, width = (
            max(1, round(pixels * self._depth_scale())) for pixels in self.given.mask.shape
        )
        turned = self._turned(mesh.vertices.astype(np.float64))
        shape = np.array(self.given.mask.shape[::-1])
        places = (self.given.frame.to_pixels(turned) + 0.5) / shape * 2 - 1
        screen = np.column_stack([places, -side * turned[:, 2] / self.size])
        depths, covered = nearest_depths(screen, mesh.faces, height, width, PixelRule.CENTRED)
        return np.where(covered, -side * depths, -side * NOWHERE).astype(np.float32)

    @cached_property
    def _lowest(self) -> NDArray[np.float32]:
        """Height of what somebody opposite the viewer sees in each pixel."""
        return self._heights(self._mesh, -1.0)

    def outermost_behind(self, points: Values) -> NDArray[np.bool_]:
        """Say which places somebody opposite the viewer sees, (n,) bool.

        What is inside of a cup or under a roof is not seen from there.
        """
        turned = self._turned(points)
        pixels = self._on_depth(self.given.frame.to_pixels(turned))
        here = turned[:, 2] / self.size
        room = DEPTH_SLACK + STEEPEST * self._depth_px_size()
        return np.asarray(here < sampled(self._lowest, pixels, cv2.INTER_NEAREST) + room)

    def shown_before(self, points: Values, right: float = 0.0, up: float = 0.0) -> Values:
        """Move places along the view onto what the picture shows there, (n, 3) float64.

        Those beside the object stay where they are.

        Parameters
        ----------
        right, up : float
            How far aside to look, in the unit of the frame.
        """
        places = points + right * self._right + np.array([0.0, up, 0.0])
        turned = self._turned(places)
        pixels = self._on_depth(self.given.frame.to_pixels(turned))
        height = sampled(self._depth, pixels, cv2.INTER_NEAREST).astype(np.float64)
        is_shown = height > -NOWHERE
        ahead = np.where(is_shown, height * self.size - turned[:, 2], 0.0)
        moved: Values = np.where(is_shown[:, None], places, points)
        return np.asarray(moved + ahead[:, None] * self.towards)

    def whole_regions(self) -> Mask:
        """Which pixels show the object, without those where something hides what goes on.

        Returns
        -------
        (h, w) bool
            ``core`` without the jumps of depth: there regions end as they do at the outline.
        """
        height, width = self.core.shape
        reach = 2 * max(1, round(REGION_GAP_SHARE * max(self._depth.shape))) + 1
        broad = cv2.dilate(self._jumps().astype(np.uint8), np.ones((reach, reach), np.uint8))
        whole: Mask = self.core & (np.asarray(cv2.resize(broad, (width, height))) == 0)
        return whole

    def _jumps(self) -> Mask:
        """Which pixels lie on either side of an edge that hides something of the object."""
        depth = self._depth
        covered = depth > -NOWHERE
        around = np.ones((3, 3), dtype=np.uint8)
        lowest = cv2.erode(np.where(covered, depth, np.float32(NOWHERE)), around)
        highest = cv2.dilate(depth, around)
        least = max(DEPTH_JUMP, 2 * STEEPEST * self._depth_px_size())  # slopes are no jumps
        jumps: Mask = covered & (highest - np.minimum(lowest, highest) > least)
        return jumps

    def _trusted(self) -> NDArray[np.float32]:
        """How far each pixel is from outline and jumps of depth, 0 (there) to 1.

        Where that leaves nothing to trust all around, as in leaves and hair, those pixels do.
        """
        depth = self._depth
        jumps = self._jumps()
        core = cv2.resize(
            self.core.astype(np.float32), depth.shape[::-1], interpolation=cv2.INTER_AREA
        )
        band = max(1.0, EDGE_SHARE * max(depth.shape))
        far = distance_inside(~jumps) if jumps.any() else np.full(depth.shape, 99.0, np.float32)
        trust = np.clip(far / band - 1, 0, 1)
        alone = distance_inside((trust < 1) | (core < 1))
        trust = np.maximum(trust, np.clip(alone / (LONELY_BANDS * band) - 1, 0, 1))
        return np.asarray(np.clip(core, 0, 1) * trust, dtype=np.float32)


def sampled(
    image: NDArray[np.generic], pixels: Values, method: int = cv2.INTER_LINEAR
) -> NDArray[np.float32]:
    """Look up places in an image; beside it, what is at its border.

    Parameters
    ----------
    image : (h, w) or (h, w, c)
    pixels : (n, 2) float64
        x and y; pixel centres are whole numbers.

    Returns
    -------
    (n,) or (n, c) float32
    """
    count = len(pixels)
    rows = max(1, -(-count // SAMPLES_ACROSS))
    padded = np.zeros((rows * SAMPLES_ACROSS, 2), dtype=np.float32)
    padded[:count] = pixels
    where = padded.reshape(rows, SAMPLES_ACROSS, 2)
    found = np.concatenate(
        [
            cv2.remap(image, where[at : at + 30_000], None, method, borderMode=cv2.BORDER_REPLICATE)
            for at in range(0, rows, 30_000)
        ]
    )
    flat = found.reshape(rows * SAMPLES_ACROSS, *image.shape[2:])[:count]
    return np.asarray(flat, dtype=np.float32)
