"""Reads a part off its latents, in the part's own box. Imports torch.

The grid is that of the whole object, of which only the cells in and around the box are asked.
Where the part goes on beyond them, the cells behind that side are asked too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.engines.field_calls import Field
from backend.engines.implicit_decode import DecodedGrid, decode_grid
from backend.engines.model_networks import ModelNetworks, device_of
from backend.engines.native_shape import BAND, points_per_call
from backend.engines.part_space import HALF_SIDE, SIDES, Extent, Side, padded_extent
from backend.meshes.degenerate_faces import without_degenerate_faces
from backend.meshes.floaters import without_floaters
from backend.meshes.isosurface.surface import IsoSurface, extract_surface
from backend.meshes.triangle_mesh import TriangleMesh
from backend.models.checkpoints.checkpoint import Component
from backend.models.hunyuan3d.shape_vae import ShapeVae
from backend.models.xpart.published_part_grid import PUBLISHED_LEVEL
from backend.profiling.recorder import profile_stage
from backend.profiling.spans import SpanKind
from backend.profiling.stage_facts import FactName, note_fact
from backend.runtime_settings import SettingName, number_of, value_of

Tell = Callable[[float], None]

# Each time by twice as much as before. After that a part is cut off, and said to be.
MOST_GROWTHS = 3
# Of the whole cube, along a side, and of a part's own box.
COARSEST_CELLS_OF_CUBE, COARSEST_CELLS_OF_PART = 64, 32


@dataclass(frozen=True)
class DecodedPart:
    """A part as a mesh.

    Parameters
    ----------
    mesh : TriangleMesh
        In units of the networks; closed.
    queries : int
        Points asked for.
    growths : int
        How often it went on beyond the cells that were asked, and more were.
    is_cut_off : bool
        It still did, or left the cube that the networks know, and was closed there.
    dropped_bodies : int
        Separate bodies with less than half a percent of the faces.
    """

    mesh: TriangleMesh
    queries: int
    growths: int
    is_cut_off: bool
    dropped_bodies: int


@dataclass(frozen=True)
class PartGrid:
    """The values of a part on the corners of some cells.

    Parameters
    ----------
    values : Tensor, shape (x + 1, y + 1, z + 1) float32
        Above 0 inside: the level of the surface is taken off.
    is_asked : Tensor, same shape, bool
    extent : Extent
        Which cells.
    queries, hierarchical_queries, growths : int
    """

    values: Tensor
    is_asked: Tensor
    extent: Extent
    queries: int
    hierarchical_queries: int
    growths: int = 0


def decoded_part(
    networks: ModelNetworks,
    vae: ShapeVae,
    latents: Tensor,
    space: NDArray[np.float64],
    cells: int,
    tell: Tell,
) -> DecodedPart:
    """Read a part off its latents.

    Parameters
    ----------
    networks : ModelNetworks
    vae : ShapeVae
        Leased from them.
    latents : Tensor, shape (1, tokens, channels)
        On the device and in the dtype of ``vae``.
    space : (2, 3) float64
        From ``part_space``.
    cells : int
        Along each side of the whole cube.
    tell : callable
        Told the share done, from 0 to 1; what it raises is raised.

    Raises
    ------
    NoSurfaceFound
    """
    with profile_stage("decode_latents", SpanKind.GPU):
        transformer = networks.hosted(Component.VAE, vae, "/transformer")
        keys = vae.geo_decoder.keys(transformer(latents))
    decoder = networks.hosted(Component.VAE, vae, "/geo_decoder")
    device = device_of(vae)
    return decode_part(
        lambda points: decoder(points[None], keys)[0],
        space,
        cells,
        chunk_points=number_of(SettingName.DECODE_CHUNK) or points_per_call(vae, device),
        hierarchical=value_of(SettingName.DECODE) == "hierarchical",
        device=device,
        progress=tell,
    )


def decode_part(
    field: Field,
    space: NDArray[np.float64],
    cells: int,
    *,
    chunk_points: int = 0,
    hierarchical: bool = True,
    device: torch.device | str = "cpu",
    progress: Tell = lambda share: None,
) -> DecodedPart:
    """Read a part off its field.

    Parameters
    ----------
    field : callable
        Takes points, shape (n, 3) float32, and returns n values, above -1/512 inside.
    space : (2, 3) float64
        From ``part_space``. The part is looked for here and in a margin around it, a tenth of the
        longest side or four cells, and beyond only where it goes on.
    cells : int
        Along each side of the whole cube.
    chunk_points, hierarchical, device
        As for ``decode_grid``.
    progress : callable
        Told the share done, from 0 to 1; what it raises is raised.

    Returns
    -------
    DecodedPart

    Raises
    ------
    NoSurfaceFound
        There is none in that space.
    """
    with profile_stage("decode_volume", SpanKind.GPU):
        ask = partial(
            _asked,
            lambda points: field(points) - PUBLISHED_LEVEL,
            chunk_points=chunk_points,
            hierarchical=hierarchical,
            device=device,
        )
        grid = part_grid(ask, space, cells, progress)
    with profile_stage("extract_surface", SpanKind.GPU):
        box = grid.extent.box
        surface = extract_surface(grid.values, box.lower, box.upper, closed=True)
    with profile_stage("clean_surface"):
        kept = without_floaters(_mesh(surface))
        mesh = without_degenerate_faces(kept.mesh).mesh
    return DecodedPart(mesh, grid.queries, grid.growths, surface.leaves_grid, kept.dropped_bodies)


Ask = Callable[[Extent, Tell], DecodedGrid]


def part_grid(
    ask: Ask, space: NDArray[np.float64], cells: int, progress: Tell = lambda share: None
) -> PartGrid:
    """Ask around a part, and beyond a side as long as the part goes on there.

    Parameters
    ----------
    ask : callable
        Takes cells and whom to tell of its progress, and returns the values on their corners.
    space : (2, 3) float64
    cells : int
        Along each side of the whole cube.
    """
    extent, margin = padded_extent(space, cells)
    meter = _Meter(progress)
    decoded = meter.run(ask, extent)
    grid = PartGrid(
        decoded.values,
        decoded.is_asked,
        extent,
        decoded.queries,
        decoded.hierarchical_queries,
    )
    for growth in range(MOST_GROWTHS):
        sides = [side for side in SIDES if _goes_on(grid, side)]
        if not sides:
            break
        for side in sides:
            slab = grid.extent.beyond(side, margin << growth)
            grid = _joined(grid, meter.run(ask, slab), slab, side)
        grid = replace(grid, growths=growth + 1)
    if grid.growths:
        _note_sums(grid)
    progress(1.0)
    return grid


def _note_sums(grid: PartGrid) -> None:
    """Tell the stage of all grids; each of them told of itself alone."""
    note_fact(
        FactName.DECODE,
        {
            "resolution": max(grid.extent.shape),
            "queries": grid.queries,
            "hierarchical_queries": grid.hierarchical_queries,
            "same_surface": None,
            "bookkeeping_s": None,
            "lower_resolution": None,
        },
    )


def _goes_on(grid: PartGrid, side: Side) -> bool:
    """Whether something on a side lies inside, and there are cells behind it."""
    border = grid.values.select(side.axis, -1 if side.is_upper else 0)
    return grid.extent.can_grow(side) and bool((border > 0).any())


class _Meter:
    """Tells one share of several grids, of which later ones are not known from the start."""

    def __init__(self, progress: Tell) -> None:
        self._progress = progress
        self._done, self._told = 0, 0.0

    def run(self, ask: Ask, extent: Extent) -> DecodedGrid:
        """Ask for one more grid; the share never falls."""
        corners = int(np.prod(extent.shape))

        def tell(share: float) -> None:
            known = self._done + corners
            self._told = max(self._told, (self._done + share * corners) / known)
            self._progress(min(self._told, 1.0))

        decoded = ask(extent, tell)
        self._done += corners
        return decoded


def _asked(
    field: Field,
    extent: Extent,
    tell: Tell,
    *,
    chunk_points: int,
    hierarchical: bool,
    device: torch.device | str,
) -> DecodedGrid:
    box = extent.box
    longest = max(high - low for low, high in zip(box.lower, box.upper, strict=True))
    of_cube = round(COARSEST_CELLS_OF_CUBE * longest / (2 * HALF_SIDE))
    return decode_grid(
        field,
        extent.shape,
        box,
        chunk_points=chunk_points,
        hierarchical=hierarchical,
        progress=tell,
        device=device,
        coarsest_cells=max(COARSEST_CELLS_OF_PART, of_cube),
        band=BAND,
    )


def _joined(grid: PartGrid, decoded: DecodedGrid, slab: Extent, side: Side) -> PartGrid:
    """Put a slab behind a side; on corners that both have, a value that was asked for counts."""
    values, is_asked = (
        (grid.values, decoded.values),
        (grid.is_asked, decoded.is_asked),
    )
    ends = (-1, 0) if side.is_upper else (0, -1)
    (value, new_value), (known, newly_known) = (
        tuple(each.select(side.axis, end) for each, end in zip(pair, ends, strict=True))
        for pair in (values, is_asked)
    )
    value.copy_(torch.where(newly_known & ~known, new_value, value))
    known.logical_or_(newly_known)
    return PartGrid(
        _behind(side, *values),
        _behind(side, *is_asked),
        grid.extent.joined(slab),
        grid.queries + decoded.queries,
        grid.hierarchical_queries + decoded.hierarchical_queries,
        grid.growths,
    )


def _behind(side: Side, block: Tensor, slab: Tensor) -> Tensor:
    """Join a block and a slab, which have the corners on a side in common."""
    new = slab.narrow(side.axis, int(side.is_upper), slab.shape[side.axis] - 1)
    return torch.cat([block, new] if side.is_upper else [new, block], side.axis)


def _mesh(surface: IsoSurface) -> TriangleMesh:
    return TriangleMesh(
        surface.vertices.cpu().numpy(), surface.faces.cpu().numpy().astype(np.int32)
    )
