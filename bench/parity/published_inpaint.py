"""How the published programs fill what no picture shows; not what the product does.

Written from a description of them: colours wander from corner to corner of the mesh, one after
the other, and OpenCV fills the rest of the picture.

Source
------
Hunyuan3D 2.0: Scaling Diffusion Models for High Resolution Textured 3D Assets Generation (2025);
Bertalmio et al., Navier-Stokes, Fluid Dynamics, and Image and Video Inpainting (2001).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.parity.published_bake import PublishedSurface, Values

CLOSEST = 1e-4
PATIENCE = 2
RADIUS_PX = 3


@dataclass(frozen=True)
class InpaintedVertices:
    """A texture in which the texels of all vertices have a colour.

    Parameters
    ----------
    colours : (t, t, c) float32
    is_painted : (t, t) bool
    """

    colours: Values
    is_painted: NDArray[np.bool_]


def with_vertices(
    surface: PublishedSurface, colours: Values, is_painted: NDArray[np.bool_]
) -> InpaintedVertices:
    """Carry colours along the edges of faces and write them to the texels of vertices.

    Parameters
    ----------
    surface
    colours : (t, t, c) float32
    is_painted : (t, t) bool
    """
    size = surface.texture_px
    columns = np.rint(surface.uv[:, 0] * np.float32(size - 1)).astype(np.int64)
    rows = np.rint((1 - surface.uv[:, 1]) * np.float32(size - 1)).astype(np.int64)
    found, is_known = _carried(
        surface.vertices, surface.faces, colours[rows, columns], is_painted[rows, columns]
    )
    colours, is_painted = colours.copy(), is_painted.copy()
    for vertex in surface.faces.reshape(-1):  # the last corner at a texel counts
        if is_known[vertex]:
            colours[rows[vertex], columns[vertex]] = found[vertex]
            is_painted[rows[vertex], columns[vertex]] = True
    return InpaintedVertices(colours, is_painted)


def _carried(
    vertices: NDArray[np.floating],
    faces: NDArray[np.integer],
    colours: Values,
    is_known: NDArray[np.bool_],
) -> tuple[Values, NDArray[np.bool_]]:
    """Give vertices the mean of their neighbours again and again, in the order of the faces."""
    neighbours: list[list[int]] = [[] for _ in vertices]
    for face in faces.tolist():
        for corner in range(3):
            neighbours[face[corner]].append(face[(corner + 1) % 3])
    colours, known = colours.astype(np.float64), is_known.copy()
    asked = [vertex for vertex in faces.reshape(-1).tolist() if not is_known[vertex]]
    weights = {vertex: _weights(vertices, vertex, neighbours[vertex]) for vertex in set(asked)}
    left, patience = len(asked), PATIENCE
    while patience > 0:
        missing = 0
        for vertex in asked:
            others = np.array(neighbours[vertex], dtype=np.int64)
            there = known[others]
            if not there.any():
                missing += not known[vertex]
                continue
            share = weights[vertex][there]
            colours[vertex] = share @ colours[others[there]] / share.sum()
            known[vertex] = True
        patience += 1 if missing != left else -1
        left = missing
    return colours.astype(np.float32), known


def _weights(vertices: NDArray[np.floating], vertex: int, others: list[int]) -> NDArray[np.float64]:
    apart = np.linalg.norm(vertices[others] - vertices[vertex], axis=1)
    return np.asarray(1 / np.square(np.maximum(apart, CLOSEST)))


def navier_stokes(picture: NDArray[np.uint8], is_painted: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Fill all that is not painted with OpenCV, (t, t, 3) uint8."""
    holes = np.where(is_painted, 0, 255).astype(np.uint8)
    return np.asarray(cv2.inpaint(picture, holes, RADIUS_PX, cv2.INPAINT_NS), dtype=np.uint8)
