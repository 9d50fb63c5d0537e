"""Our way of making a shape with all savings, and a plain way without them. Imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
import trimesh
from skimage.measure import marching_cubes
from torch import Tensor

from backend.engines.field_calls import Box
from backend.engines.implicit_decode import decode_grid
from backend.engines.native_shape import BAND, points_per_call
from backend.meshes.isosurface.surface import extract_surface
from backend.meshes.triangle_mesh import TriangleMesh
from backend.models.hunyuan3d.geo_decoder import field_of
from backend.models.hunyuan3d.sampler import Guidance, initial_latents, sample
from backend.models.hunyuan3d.savings import ALL_SAVINGS, NO_SAVINGS, Savings
from backend.models.hunyuan3d.schedules import euler_schedule
from backend.models.hunyuan3d.volume_decoding import CHUNK_POINTS, dense_grid
from backend.models.hunyuan3d.volume_queries import HALF_WIDTH, on_axes
from bench.shape.outcome import Outcome, timed
from bench.shape.random_weights import SEED, Networks

GUIDANCE = 5.0
PAIR_STEPS, PAIR_STEP = 30, 10
SAMPLED_CHUNKS = 24
LOWER, UPPER = (-HALF_WIDTH,) * 3, (HALF_WIDTH,) * 3


@dataclass(frozen=True)
class Given:
    """What every way starts from, made once.

    Parameters
    ----------
    pixels : Tensor, shape (1, 3, side, side) float32
        From -1 to 1.
    context : Tensor, shape (1, context_tokens, context_channels)
    noise : Tensor, shape (1, latent_tokens, latent_channels)
    tokens : Tensor, shape (1, latent_tokens, width)
        Of the shape decoder.
    grids : dict of int to Tensor
        Values on the corners of grids, for the surface.
    """

    pixels: Tensor
    context: Tensor
    noise: Tensor
    tokens: Tensor
    grids: dict[int, Tensor]


class Way(Protocol):
    """One way to make a shape."""

    name: str

    def encode(self) -> Outcome:
        """Describe the picture."""

    def pair(self) -> Outcome:
        """Return one guided velocity: a pass with context and one without."""

    def trajectory(self, steps: int) -> Outcome:
        """Follow the denoiser from noise."""

    def tokens(self) -> Outcome:
        """Turn latents into what the field is read from."""

    def decode(self, cells: int) -> Outcome:
        """Fill a grid."""

    def surface(self, cells: int) -> Outcome:
        """Read a mesh off a filled grid."""

    def whole(self, steps: int, cells: int) -> Outcome:
        """Do all of it, from the prepared picture to a mesh."""


class NativeWay:
    """Our networks, with savings or without.

    Parameters
    ----------
    savings : Savings
    joint : bool
        Both passes of a guided step in one call.
    """

    name = ""
    savings: Savings = ALL_SAVINGS

    def __init__(self, networks: Networks, given: Given, *, joint: bool = False) -> None:
        self.networks = networks
        self.given = given
        self.guidance = Guidance(GUIDANCE, joint=joint)
        self._prepared: Any = None

    def encode(self) -> Outcome:
        """Describe the picture."""
        return self._timed(lambda: self.networks.conditioner(self.given.pixels))

    def pair(self) -> Outcome:
        """Return one guided velocity; what the steps share is made beforehand."""
        net, given = self.networks.denoiser, self.given
        if self._prepared is None:
            times = euler_schedule(PAIR_STEPS).times.to(self.networks.device)
            self._prepared = (
                net.prepare(given.context, times, None, self.savings),
                net.prepare_blank(given.context, times, None, self.savings),
            )
        with_context, without = self._prepared
        step = torch.full((1,), PAIR_STEP, device=self.networks.device)

        def velocity() -> Tensor:
            there, back = net(given.noise, with_context, step), net(given.noise, without, step)
            guided: Tensor = back.float() + GUIDANCE * (there.float() - back.float())
            return guided

        return self._timed(velocity)

    def trajectory(self, steps: int) -> Outcome:
        """Follow the denoiser from noise, what is prepared once included."""
        return self._timed(lambda: self._latents(self.given.context, steps))

    def tokens(self) -> Outcome:
        """Turn latents into what the field is read from."""
        return self._timed(lambda: self.networks.vae.transformer(self.given.noise))

    def decode(self, cells: int) -> Outcome:
        """Fill a grid."""
        return self._timed(lambda: self._grid(self.given.tokens, cells))

    def surface(self, cells: int) -> Outcome:
        """Read a mesh off a filled grid."""
        return self._timed(lambda: self._mesh(self.given.grids[cells]))

    def whole(self, steps: int, cells: int) -> Outcome:
        """Do all of it, from the prepared picture to a mesh."""
        return self._timed(lambda: self.made(steps, cells))

    def made(self, steps: int, cells: int) -> TriangleMesh:
        """Make a shape."""
        context = self.networks.conditioner(self.given.pixels)
        latents = self._latents(context, steps)
        return self._mesh(self._grid(self.networks.vae.transformer(latents), cells))

    def _latents(self, context: Tensor, steps: int) -> Tensor:
        return sample(
            self.networks.denoiser,
            euler_schedule(steps),
            self.given.noise,
            context,
            guidance=self.guidance,
            savings=self.savings,
        )

    def _grid(self, tokens: Tensor, cells: int) -> Tensor:
        raise NotImplementedError

    def _mesh(self, values: Tensor) -> TriangleMesh:
        raise NotImplementedError

    def _timed(self, call: Any) -> Outcome:
        return timed(self.networks.device, call)


class Ours(NativeWay):
    """All savings, coarse to fine, the surface on its cells alone."""

    name = "ours"

    def decode(self, cells: int) -> Outcome:
        """Fill a grid; what was not asked is NaN in the result."""
        found: list[Any] = []
        one = self._timed(lambda: found.append(self._decoded(self.given.tokens, cells)))
        decoded = found[0]
        values = decoded.values.masked_fill(~decoded.is_asked, torch.nan)
        share = decoded.queries / decoded.values.numel()
        note = f"{decoded.queries} queries, {share:.1%} of dense"
        return Outcome(one.taken_s, values.cpu(), one.peak_mb, note)

    def filled(self, cells: int) -> Tensor:
        """Return a grid without gaps."""
        values: Tensor = self._grid(self.given.tokens, cells)
        return values

    def _decoded(self, tokens: Tensor, cells: int) -> Any:
        vae, device = self.networks.vae, self.networks.device
        return decode_grid(
            field_of(vae.geo_decoder, tokens, self.savings),
            cells,
            Box(LOWER, UPPER),
            chunk_points=points_per_call(vae, device),
            device=device,
            band=BAND,
        )

    def _grid(self, tokens: Tensor, cells: int) -> Tensor:
        values: Tensor = self._decoded(tokens, cells).values
        return values

    def _mesh(self, values: Tensor) -> TriangleMesh:
        found = extract_surface(values, LOWER, UPPER)
        faces = found.faces.cpu().numpy().astype(np.int32)
        return TriangleMesh(found.vertices.cpu().numpy(), faces)


class Plain(NativeWay):
    """No savings: every corner in calls of 8000, keys anew in each, a surface on the CPU.

    Parameters
    ----------
    most_cells : int or None
        Of a larger grid only evenly spread calls are made, and their time is multiplied.
    """

    name = "plain"
    savings = NO_SAVINGS

    def __init__(self, networks: Networks, given: Given, most_cells: int | None) -> None:
        super().__init__(networks, given)
        self._most_cells = most_cells

    def decode(self, cells: int) -> Outcome:
        """Fill a grid, or a sample of it."""
        if self._most_cells is None or cells <= self._most_cells:
            return super().decode(cells)
        corners = (cells + 1) ** 3
        calls = -(-corners // CHUNK_POINTS)
        every = max(1, calls // SAMPLED_CHUNKS)
        values = torch.full((corners,), torch.nan)
        one = self._timed(lambda: self._ask_some(values, cells, every))
        asked = int((~values.isnan()).sum())
        factor = corners / asked
        note = f"{asked} of {corners} corners asked, time multiplied by {factor:.1f}"
        shaped = values.view((cells + 1,) * 3)
        return Outcome(one.taken_s * factor, shaped, one.peak_mb, note)

    def _ask_some(self, values: Tensor, cells: int, every: int) -> None:
        field = self._field(self.given.tokens)
        for start in range(0, len(values), every * CHUNK_POINTS):
            flat = torch.arange(start, min(len(values), start + CHUNK_POINTS))
            places = on_axes(flat.to(self.networks.device), cells)
            values[start : start + len(flat)] = field(places).cpu()

    def _field(self, tokens: Tensor) -> Any:
        return field_of(self.networks.vae.geo_decoder, tokens, self.savings)

    def _grid(self, tokens: Tensor, cells: int) -> Tensor:
        values: Tensor = dense_grid(
            self._field(tokens), cells, chunk_points=CHUNK_POINTS, device=self.networks.device
        ).values
        return values

    def _mesh(self, values: Tensor) -> TriangleMesh:
        corners, faces, _, _ = marching_cubes(values.cpu().numpy(), 0.0, method="lewiner")
        corners = corners / (np.array(values.shape) - 1) * 2 * HALF_WIDTH - HALF_WIDTH
        merged = trimesh.Trimesh(corners, faces)
        return TriangleMesh(
            np.asarray(merged.vertices, np.float32), np.asarray(merged.faces, np.int32)
        )


@torch.inference_mode()
def given_for(networks: Networks, pixels: Tensor) -> Given:
    """Make what every way starts from; grids are filled by the caller."""
    device, dtype, sizes = networks.device, networks.dtype, networks.sizes
    pixels = pixels.to(device)
    channels = networks.denoiser.latent_channels
    noise = initial_latents([SEED], sizes.latent_tokens, channels, dtype, device)
    return Given(
        pixels=pixels,
        context=networks.conditioner(pixels),
        noise=noise,
        tokens=networks.vae.transformer(noise),
        grids={},
    )
