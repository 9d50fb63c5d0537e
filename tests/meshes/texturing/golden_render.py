"""A mesh, its cameras and the pictures that the original renderer made of it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from backend.meshes.texturing.cameras import OrthographicCamera
from backend.meshes.texturing.surface_layout import SurfaceLayout
from backend.meshes.texturing.unit_frame import UnitFrame
from backend.meshes.triangle_mesh import TriangleMesh, vertex_normals

RENDER = Path(__file__).parents[2] / "golden" / "texture" / "render.safetensors"
SIZE_PX = 256


@cache
def arrays() -> dict[str, np.ndarray]:
    return load_file(RENDER)


def faces() -> np.ndarray:
    return arrays()["mesh.f"]


@cache
def unit_vertices() -> np.ndarray:
    return UnitFrame.of(arrays()["mesh.v"]).to_unit(arrays()["mesh.v"])


@cache
def normals() -> np.ndarray:
    return vertex_normals(TriangleMesh(unit_vertices().astype(np.float32), faces()))


def camera(view: int) -> OrthographicCamera:
    elevation, azimuth = arrays()["cam.elev_azim"][view]
    return OrthographicCamera(float(azimuth), float(elevation))


def layout() -> SurfaceLayout:
    uv = arrays()["mesh.uv"]
    return SurfaceLayout(np.arange(len(uv)), uv, faces())
