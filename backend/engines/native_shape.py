"""From latents to a mesh in the pixels of the picture. Imports torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from backend.catalog import FieldDecoder
from backend.engines.field_calls import Box, Field
from backend.engines.implicit_decode import decode_grid
from backend.engines.model_networks import ModelNetworks, device_of
from backend.engines.shape_memory import fitting_points
from backend.engines.shape_model_choice import ShapeEffort
from backend.meshes.degenerate_faces import without_degenerate_faces
from backend.meshes.floaters import without_floaters
from backend.meshes.isosurface.surface import extract_surface
from backend.meshes.masks import Mask, bounds
from backend.meshes.triangle_mesh import TriangleMesh
from backend.models.checkpoints.checkpoint import Component
from backend.models.hunyuan3d.shape_vae import ShapeVae
from backend.models.hunyuan3d.shape_vae_layers import GeoKeys
from backend.models.hunyuan3d.volume_decoding import CHUNK_POINTS, flash_grid
from backend.profiling.recorder import profile_stage
from backend.profiling.spans import SpanKind
from backend.runtime_settings import SettingName, number_of, value_of

# The networks were trained on distances that are cut off: nearer than this means near a surface.
BAND = 0.95
COARSEST_CELLS = 64  # no published way starts with fewer
HALF_SIDE = 1.01
BOX = Box((-HALF_SIDE,) * 3, (HALF_SIDE,) * 3)
LOWER_CELLS = {512: 384, 384: 256, 256: 192}


@dataclass(frozen=True)
class DecodedMesh:
    """A shape as a mesh.

    Parameters
    ----------
    mesh : TriangleMesh
        In units of the network: y is up, z faces the viewer.
    is_cut_off : bool
        It reached beyond the grid and was closed where it left it.
    """

    mesh: TriangleMesh
    is_cut_off: bool


def decoded_mesh(
    networks: ModelNetworks,
    vae: ShapeVae,
    latents: Tensor,
    effort: ShapeEffort,
    tell: Callable[[float], None],
) -> DecodedMesh:
    """Read a shape off its latents.

    Parameters
    ----------
    latents : Tensor, shape (1, tokens, channels)
    tell : callable
        Told the share done, from 0 to 1; what it raises is raised.

    Raises
    ------
    NoSurfaceFound
    """
    with profile_stage("decode_latents", SpanKind.GPU):
        transformer = networks.hosted(Component.VAE, vae, "/transformer")
        keys = vae.geo_decoder.keys(transformer(latents))
    with profile_stage("decode_volume", SpanKind.GPU):
        if effort.decoder is FieldDecoder.FLASH:
            values = _flash_values(vae, keys, effort.cells, tell)
        else:
            decoder = networks.hosted(Component.VAE, vae, "/geo_decoder")
            values = _values(lambda points: decoder(points[None], keys)[0], vae, effort.cells, tell)
    with profile_stage("extract_surface", SpanKind.GPU):
        surface = extract_surface(values, BOX.lower, BOX.upper, closed=True)
        mesh = TriangleMesh(
            surface.vertices.cpu().numpy(), surface.faces.cpu().numpy().astype(np.int32)
        )
    with profile_stage("clean_surface"):
        cleaned = without_degenerate_faces(without_floaters(mesh).mesh).mesh
    return DecodedMesh(cleaned, surface.leaves_grid)


def _values(field: Field, vae: ShapeVae, cells: int, tell: Callable[[float], None]) -> Tensor:
    """Ask wherever the surface may be."""
    device = device_of(vae)
    return decode_grid(
        field,
        cells,
        BOX,
        chunk_points=number_of(SettingName.DECODE_CHUNK) or points_per_call(vae, device),
        hierarchical=value_of(SettingName.DECODE) == "hierarchical",
        progress=tell,
        device=device,
        coarsest_cells=COARSEST_CELLS,
        lower_resolution=LOWER_CELLS.get(cells),
        band=BAND,
    ).values


def _flash_values(
    vae: ShapeVae, keys: GeoKeys, cells: int, tell: Callable[[float], None]
) -> Tensor:
    """Ask near the surface, each box of points with the keys that matter to it."""
    grid = flash_grid(
        vae.geo_decoder,
        keys,
        cells,
        chunk_points=number_of(SettingName.DECODE_CHUNK) or CHUNK_POINTS,
        on_query=lambda done, known: tell(done / max(known, 1)),
    )
    return with_sides(grid.values)


def with_sides(values: Tensor) -> Tensor:
    """Put the side of the surface where nothing was asked: far from it, that of their neighbours.

    Parameters
    ----------
    values : Tensor, shape (x, y, z)
        NaN where not asked; regions of NaN lie on one side and are bounded by values, or by the
        border, beyond which is outside.

    Returns
    -------
    Tensor, shape of ``values``
        1 or -1 in place of NaN.
    """
    flat = values.flatten(0, 1)
    known = ~flat.isnan()
    places = torch.arange(flat.shape[1], device=flat.device)
    last = torch.where(known, places, -1).cummax(dim=1).values
    before = flat.gather(1, last.clamp(min=0))
    sides = torch.where((last >= 0) & (before > 0), 1.0, -1.0)
    return torch.where(known, flat, sides).view_as(values)


def points_per_call(vae: ShapeVae, device: torch.device) -> int:
    """Return how many points one call of the decoder may take, 0 for as many as are of use."""
    if device.type != "cuda":
        return 0
    free_bytes, _ = torch.cuda.mem_get_info(device)
    item_bytes = next(vae.geo_decoder.parameters()).element_size()
    return fitting_points(free_bytes, vae.config.geo.width, item_bytes)


def in_pixels(mesh: TriangleMesh, mask: Mask) -> TriangleMesh:
    """Lay a mesh over the object in the picture, as large and in the same place.

    The camera of the network is not known; only where the object is, and how large.

    Parameters
    ----------
    mesh : TriangleMesh
        x right, y up, z to the viewer.

    Returns
    -------
    TriangleMesh
        x right, y down, z to the viewer; faces outwards.
    """
    top, bottom, left, right = bounds(mask)
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    seen = float(max(high[0] - low[0], high[1] - low[1]))
    scale = max(bottom - top, right - left) / seen
    places = (mesh.vertices - (low + high) / 2).astype(np.float64) * scale
    places[:, 1] *= -1
    places[:, :2] += (left + right - 1) / 2, (top + bottom - 1) / 2
    return TriangleMesh(places.astype(np.float32), np.ascontiguousarray(mesh.faces[:, ::-1]))
