"""A figure with as many faces as wanted, and colours that are known everywhere on it."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from backend.meshes.decimation.fewer_faces import with_fewer_faces
from backend.meshes.isosurface.surface import extract_surface
from backend.meshes.source_mesh import SourceMesh
from backend.meshes.texturing.unit_frame import UnitFrame
from backend.meshes.triangle_mesh import TriangleMesh

LOW, HIGH = (-1.0, -1.3, -0.7), (1.0, 1.3, 0.7)
CELLS_PER_ROOT_FACE = 0.46  # of the root of the faces wanted; a third more faces than are kept
LIMBS = (
    ((0.0, 0.2, 0.0), (0.0, -0.3, 0.0), 0.32),
    ((0.0, 0.85, 0.05), (0.0, 0.8, 0.05), 0.26),
    ((0.25, 0.35, 0.0), (0.75, -0.1, 0.15), 0.11),
    ((-0.25, 0.35, 0.0), (-0.75, 0.0, 0.3), 0.11),
    ((0.16, -0.4, 0.0), (0.22, -1.1, 0.05), 0.14),
    ((-0.16, -0.4, 0.0), (-0.22, -1.1, -0.05), 0.14),
    ((0.22, -1.1, 0.05), (0.22, -1.12, 0.3), 0.12),
    ((-0.22, -1.1, -0.05), (-0.22, -1.12, 0.2), 0.12),
)
BUMP, WAVE = 0.015, 23.0
# Directions and speeds of the waves of each channel, in units of the unit frame.
COLOUR_WAVES = np.array([[9.0, 4.0, -6.0], [-5.0, 11.0, 3.0], [4.0, -3.0, 12.0]])


def figure(faces: int) -> TriangleMesh:
    """Make the figure with about so many faces, in the unit frame."""
    spacing = 1 / (CELLS_PER_ROOT_FACE * faces**0.5)
    counts = [round((high - low) / spacing) + 1 for low, high in zip(LOW, HIGH, strict=True)]
    axes = [
        torch.linspace(low, high, count) for low, high, count in zip(LOW, HIGH, counts, strict=True)
    ]
    found = extract_surface(_inside(*torch.meshgrid(*axes, indexing="ij")), LOW, HIGH)
    mesh = TriangleMesh.welded(found.vertices.numpy(), found.faces.numpy().astype(np.int32))
    reduced = with_fewer_faces(SourceMesh.plain(mesh), faces).mesh
    points = UnitFrame.of(reduced.vertices).to_unit(reduced.vertices)
    return TriangleMesh(points.astype(np.float32), reduced.faces)


def _inside(x: torch.Tensor, y: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    """How far inside of the limbs places are, with bumps."""
    places = torch.stack([x, y, z], dim=-1)
    nearest = torch.full(x.shape, torch.inf)
    for start, end, radius in LIMBS:
        first = torch.tensor(start)
        along = torch.tensor(end) - first
        share = ((places - first) @ along / (along @ along)).clamp(0, 1)
        apart = (places - first - share[..., None] * along).norm(dim=-1) - radius
        nearest = torch.minimum(nearest, apart)
    waves = torch.sin(WAVE * x) * torch.sin(WAVE * y) * torch.sin(WAVE * z)
    return BUMP * waves - nearest


def true_colours(places: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the colours of places in the unit frame, (..., 3) from 0 to 1."""
    waves = np.asarray(places, dtype=np.float64) @ COLOUR_WAVES.T
    return np.asarray(0.5 + 0.4 * np.sin(waves), dtype=np.float32)
