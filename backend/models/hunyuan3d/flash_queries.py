"""Asks a geometry decoder box by box, with the keys that matter to each box. Imports torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from backend.models.hunyuan3d.geo_decoder import GeoDecoder
from backend.models.hunyuan3d.key_selection import KeyChoice, choose_keys
from backend.models.hunyuan3d.shape_vae_layers import GeoKeys
from backend.models.hunyuan3d.volume_queries import QueryCount, on_axes, on_steps

# Boxes along each side: of the first grid, and of the bounding box of what is asked again.
FIRST_BOXES = 4
FINER_BOXES = 6
# The last box would begin at the upper end itself, which belongs to the one before.
_UPPER_END = 0.001
# Every so many points of a box choose its keys. On the first grid it is always their mean.
FIRST_STRIDE = 100
FINER_STRIDE = {KeyChoice.MEAN: 50, KeyChoice.MERGE: 30}


@dataclass(frozen=True)
class FlashQueries:
    """Asks for points, each of which is compared with the keys of its box alone.

    Chunks change nothing: keys are chosen for the whole of a box before its points are asked.

    Parameters
    ----------
    decoder : GeoDecoder
    keys : GeoKeys
        Of one shape.
    choice : KeyChoice
    chunk_points : int
        Most points of a call.
    count : QueryCount

    Source
    ------
    Lai et al., FlashVDM (2025).
    """

    decoder: GeoDecoder
    keys: GeoKeys
    choice: KeyChoice
    chunk_points: int
    count: QueryCount

    def everywhere(self, cells: int) -> Tensor:
        """Return the values at all corners of a grid, shape (cells + 1,) * 3 float32.

        The corners along a side are a multiple of ``FIRST_BOXES``.
        """
        corners = cells + 1
        values = torch.zeros(corners**3, device=self.keys.k.device)
        self.count.expect(corners**3)
        for flat in _first_boxes(corners, values.device):
            values[flat] = self._of_box(on_axes(flat, cells), FIRST_STRIDE, KeyChoice.MEAN)
        return values.view((corners,) * 3)

    def at(self, flat: Tensor, cells: int) -> Tensor:
        """Return the values at corners, named by flat index, shape (n,) float32."""
        values = torch.zeros(len(flat), device=self.keys.k.device)
        self.count.expect(len(flat))
        if not len(flat):
            return values
        points = on_steps(flat, cells)
        for members in _boxes_of(points):
            values[members] = self._of_box(points[members], FINER_STRIDE[self.choice], self.choice)
        return values

    def _of_box(self, points: Tensor, stride: int, choice: KeyChoice) -> Tensor:
        sample = self.decoder.queries(self.decoder.embedded(points[None, ::stride]))
        chosen = choose_keys(sample, self.keys, choice)
        parts = []
        for part in points.split(self.chunk_points):
            self.count.before_call()
            parts.append(self.decoder(part[None], chosen)[0])
            self.count.after_call(len(part))
        return torch.cat(parts)


def _first_boxes(corners: int, device: torch.device) -> Iterator[Tensor]:
    """Yield the flat indices of the corners of each box."""
    flat = torch.arange(corners**3, device=device).view((corners,) * 3)
    side = corners // FIRST_BOXES
    for slab in flat.split(side, 0):
        for bar in slab.split(side, 1):
            for box in bar.split(side, 2):
                yield box.flatten()


def _boxes_of(points: Tensor) -> Iterator[Tensor]:
    """Yield which points lie in each box that has any."""
    low, high = points.amin(0), points.amax(0)
    width = (high - low).clamp(min=torch.finfo(points.dtype).tiny)
    x, y, z = ((points - low) / width * (FINER_BOXES - _UPPER_END)).floor().long().unbind(-1)
    boxes = (x * FINER_BOXES + y) * FINER_BOXES + z
    sizes = boxes.bincount().tolist()
    # Published: not stable. The order decides which points are the sample, and so the result.
    in_boxes = boxes.sort(stable=False).indices
    yield from (part for part in in_boxes.split(sizes) if len(part))
