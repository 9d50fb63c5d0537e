"""How often a surface, open or torn, winds around the points of a grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from backend.meshes.closing.half_edges import Indices, Points
from backend.meshes.closing.solidity import face_normals

MARGIN = 4  # cells around
SAMPLES_PER_CELL = 4  # on a face as large as the side of a cell
MAX_SAMPLES = 1_000_000  # beyond, they lie further apart
STEPS = (0.7548776662466927, 0.5698402909980532)  # Roberts' R2 sequence


@dataclass(frozen=True)
class Samples:
    """Points spread evenly over faces.

    Parameters
    ----------
    points : (s, 3) float64
    faces : (s,) int64
        The face that each lies on.
    areas : (s, 3) float64
        Its share of the face, along the normal.
    """

    points: Points
    faces: Indices
    areas: Points


@dataclass(frozen=True)
class WindingField:
    """Winding numbers on a grid; 1 inside of a closed surface, 0 outside.

    Parameters
    ----------
    values : (x, y, z) float32
    low : (3,) float64
        Where the first value lies.
    cell : float
        Distance of the values.
    """

    values: NDArray[np.float32]
    low: Points
    cell: float


def spread_samples(points: Points, faces: Indices, cell: float) -> Samples:
    """Spread samples over faces, at least one on each, about half a cell apart."""
    normals = face_normals(points, faces)
    areas = np.linalg.norm(normals, axis=1)
    wanted = SAMPLES_PER_CELL * areas / cell**2
    counts = np.ceil(wanted * min(MAX_SAMPLES / wanted.sum(), 1)).astype(np.int64).clip(1)
    owner = np.repeat(np.arange(len(faces)), counts)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    u, v = ((0.5 + step * number) % 1 for step in STEPS)
    beyond = u + v > 1
    u, v = np.where(beyond, 1 - u, u), np.where(beyond, 1 - v, v)
    u, v = np.where(counts[owner] == 1, 1 / 3, u), np.where(counts[owner] == 1, 1 / 3, v)
    a, b, c = (points[faces[owner, corner]] for corner in range(3))
    spread = a + u[:, None] * (b - a) + v[:, None] * (c - a)
    return Samples(spread, owner, normals[owner] / counts[owner][:, None])


def winding_field(samples: Samples, cell: float) -> WindingField:
    """Sum the solid angles of all samples, as one convolution.

    Source
    ------
    Generalised winding numbers: Jacobson, Kavan, Sorkine-Hornung, "Robust inside-outside
    segmentation using generalized winding numbers", 2013; dipoles in place of faces: Barill et
    al., "Fast winding numbers for soups and clouds", 2018. A sample with area ``a`` along its
    normal at ``y`` adds ``a . (y - x) / (4 pi |y - x|^3)`` at ``x``.
    """
    low = samples.points.min(axis=0) - MARGIN * cell
    shape = np.ceil(np.ptp(samples.points, axis=0) / cell).astype(int) + 2 * MARGIN + 1
    wide = tuple(fft.next_fast_len(2 * int(side), real=True) for side in shape)
    dipoles = _splatted((samples.points - low) / cell, samples.areas / cell**2, shape)
    away = [fft.fftfreq(side, 1 / side).astype(np.float32) for side in wide]
    offset = np.stack(np.meshgrid(*away, indexing="ij", copy=False))
    cubed = (offset**2).sum(axis=0) ** np.float32(1.5)
    cubed[0, 0, 0] = np.inf  # a sample says nothing about where it lies itself
    total = np.zeros((*wide[:2], wide[2] // 2 + 1), dtype=np.complex64)
    for axis in range(3):
        kernel = fft.rfftn(-offset[axis] / (np.float32(4 * np.pi) * cubed))
        total += kernel * fft.rfftn(dipoles[axis], wide)
    values = fft.irfftn(total, wide)[: shape[0], : shape[1], : shape[2]]
    return WindingField(np.ascontiguousarray(values, dtype=np.float32), low, cell)


def _splatted(places: Points, weights: Points, shape: NDArray[np.int_]) -> NDArray[np.float32]:
    """Share each sample among the eight grid points around it, (3, x, y, z) float32."""
    base = np.floor(places).astype(np.int64)
    part = places - base
    grids = np.zeros((3, int(np.prod(shape))))
    for corner in np.ndindex(2, 2, 2):
        step = np.array(corner)
        share = np.where(step, part, 1 - part).prod(axis=1)
        cells = np.ravel_multi_index(tuple((base + step).T), tuple(shape))
        for axis in range(3):
            grids[axis] += np.bincount(cells, share * weights[:, axis], minlength=grids.shape[1])
    return grids.reshape(3, *shape).astype(np.float32)
