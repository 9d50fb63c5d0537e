"""The published way from a field to a mesh: a dense cube for each part, surfaces on the host.

Imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import trimesh
from numpy.typing import NDArray
from skimage.measure import marching_cubes
from torch import Tensor
from torch.nn import functional

from bench.parts.reference_conditioner import cross_block, self_block
from bench.parts.reference_layers import WIDE_EPSILON, State, fourier, layer_norm, linear

HALF_WIDTH, LEVEL = 1.01, -1 / 512
CHUNK_POINTS, COARSEST_CELLS = 400_000, 95
BAND, BAND_CELLS, LAST_WIDENED = 0.95, 512, 510
UNASKED = -10_000.0
LONGEST_EDGE, SMALLEST_SHARE = 8 / 512, 0.005

Field = Callable[[Tensor], Tensor]


@dataclass
class DecodedGrid:
    """Values on the corners of the cube.

    Parameters
    ----------
    values : Tensor, shape (cells + 1, cells + 1, cells + 1) float16
        NaN where not asked.
    asked : Tensor, same shape, bool
    calls : list of int
        Points of each call.
    """

    values: Tensor
    asked: Tensor
    calls: list[int] = field(default_factory=list)


def field_of_part(state: State, config: Mapping[str, Any], latents: Tensor) -> Field:
    """Return the field of one part.

    Parameters
    ----------
    state : mapping
        ``post_kl``, ``transformer.*`` and ``geo_decoder.*``.
    latents : Tensor, shape (1, tokens, channels)
    """
    heads, dtype = int(config["heads"]), latents.dtype
    tokens = linear(state, "post_kl", latents / config["scale_factor"])
    for layer in range(int(config["num_decoder_layers"])):
        tokens = self_block(state, f"transformer.resblocks.{layer}", tokens, heads)

    def answers(points: Tensor) -> Tensor:
        features = fourier(points, int(config["num_freqs"])).to(dtype)
        queries = linear(state, "geo_decoder.query_proj", features[None])
        seen = cross_block(state, "geo_decoder.cross_attn_decoder", queries, tokens, heads)
        normed = layer_norm(state, "geo_decoder.ln_post", seen, WIDE_EPSILON)
        return linear(state, "geo_decoder.output_proj", normed)[0, :, 0]

    return answers


def levels(cells: int, coarsest: int = COARSEST_CELLS) -> list[int]:
    """List the cells of each grid.

    >>> levels(512), levels(256)
    ([128, 256, 512], [128, 256])
    """
    found: list[int] = []
    while cells >= coarsest:
        found.insert(0, cells)
        cells //= 2
    return found


def decoded_grid(
    ask: Field, cells: int, device: torch.device, coarsest: int = COARSEST_CELLS
) -> DecodedGrid:
    """Fill a dense grid of the whole cube, then finer ones near the surface."""
    first, *finer = levels(cells, coarsest)
    calls: list[int] = []
    axis = torch.linspace(-HALF_WIDTH, HALF_WIDTH, first + 1, device=device)
    corners = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).view(-1, 3)
    values = _asked(ask, corners.half().float(), calls).view((first + 1,) * 3)
    for number, each in enumerate(finer):
        near = _near_surface(values.float(), each)
        wider = torch.zeros((each + 1,) * 3, dtype=torch.bool, device=device)
        wider[::2, ::2, ::2] = near
        places = _dilated(wider).nonzero()
        unasked = torch.nan if number == len(finer) - 1 else UNASKED
        values = torch.full(wider.shape, unasked, dtype=torch.float16, device=device)
        steps = places.double() * (2 * HALF_WIDTH / each) - HALF_WIDTH
        values[places.unbind(1)] = _asked(ask, steps, calls)
    return DecodedGrid(values, ~values.isnan(), calls)


def _asked(ask: Field, points: Tensor, calls: list[int]) -> Tensor:
    values = torch.zeros(len(points), dtype=torch.float16, device=points.device)
    for number, part in enumerate(points.split(CHUNK_POINTS)):
        calls.append(len(part))
        values[number * CHUNK_POINTS :][: len(part)] = ask(part).half()
    return values


def _near_surface(values: Tensor, cells: int) -> Tensor:
    """Mark corners beside which the sign changes, or whose value is small."""
    signs = (values + LEVEL).sign()
    padded = functional.pad(signs[None, None], (1,) * 6, mode="replicate")[0, 0]
    near = values.abs() < min(BAND, BAND * BAND_CELLS / cells)
    size = len(values)
    for axis in range(3):
        for start in (0, 2):
            inner = padded
            for other in range(3):
                inner = inner.narrow(other, start if other == axis else 1, size)
            near |= inner != signs
    return _dilated(near) if cells <= LAST_WIDENED else near


def _dilated(marked: Tensor) -> Tensor:
    pooled = functional.max_pool3d(marked[None, None].float(), 3, stride=1, padding=1)
    return pooled[0, 0] > 0


def surface(
    grid: DecodedGrid, *, masked: bool = True
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Read corners and faces off a grid on the host; some corners are NaN."""
    values = grid.values.float().cpu().numpy()
    cells = values.shape[0] - 1
    asked = grid.asked.cpu().numpy() if masked else None
    corners, faces, *_ = marching_cubes(values, LEVEL, method="lewiner", mask=asked)
    return corners / cells * (2 * HALF_WIDTH) - HALF_WIDTH, faces[:, ::-1]


def cleaned(corners: NDArray[np.float32], faces: NDArray[np.int32], cells: int) -> trimesh.Trimesh:
    """Drop corners that are nowhere, faces with long edges, and crumbs.

    The original asks another package for the last two; edges are measured against the cells.
    """
    mesh = trimesh.Trimesh(corners, faces, process=False)
    mesh.update_faces(np.isfinite(mesh.triangles).all(axis=(1, 2)))
    longest = np.linalg.norm(np.diff(mesh.triangles[:, [0, 1, 2, 0]], axis=1), axis=2).max(axis=1)
    mesh.update_faces(longest <= LONGEST_EDGE * BAND_CELLS / cells)
    pieces = trimesh.graph.connected_component_labels(mesh.face_adjacency, len(mesh.faces))
    mesh.update_faces(np.bincount(pieces)[pieces] >= SMALLEST_SHARE * len(mesh.faces))
    mesh.remove_unreferenced_vertices()
    return mesh
