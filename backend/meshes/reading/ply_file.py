"""Reads PLY: positions, colours of vertices, polygons."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.errors import MeshCorrupt, UnusableMesh
from backend.meshes.reading.mesh_checks import (
    check_face_count,
    check_indices,
    check_vertex_count,
)
from backend.meshes.reading.mesh_limits import MeshLimits
from backend.meshes.reading.ply_body import PlyBody, PlyLists, ply_body
from backend.meshes.reading.ply_header import PlyElement, read_ply_header
from backend.meshes.reading.polygons import fan_count, fan_triangles
from backend.meshes.source_mesh import Material, SourceMesh

CLOUD_ADVICE = "Reconstruct a surface from the points first."
_INDEX_NAMES = ("vertex_indices", "vertex_index")


def read_ply(data: bytes, limits: MeshLimits) -> SourceMesh:
    """Read a PLY file, polygons cut into triangles, in the order of its faces.

    Raises
    ------
    MeshCorrupt, MeshTooLarge, UnusableMesh
    """
    header = read_ply_header(data)
    for element in header.elements:
        if element.name == "vertex":
            check_vertex_count(element.count, limits)
    body = ply_body(data, header)
    columns: dict[str, NDArray[Any]] | None = None
    polygons: PlyLists | None = None
    for element in header.elements:
        if element.name == "vertex" and not element.has_lists:
            columns = body.columns(element)
        elif element.name == "face":
            polygons = _polygons(body, element)
        else:
            _skip(body, element)
    if columns is None or polygons is None or not len(polygons.lengths):
        raise UnusableMesh("It has no faces.", advice=CLOUD_ADVICE)
    return _mesh(columns, polygons, limits)


def _polygons(body: PlyBody, element: PlyElement) -> PlyLists:
    lists = {item.name for item in element.properties if item.count_kind is not None}
    name = next((name for name in _INDEX_NAMES if name in lists), None)
    if name is None:
        raise UnusableMesh("Its faces name no vertices.")
    return body.lists(element, name)


def _skip(body: PlyBody, element: PlyElement) -> None:
    if element.has_lists:
        body.lists(element, "")
    elif element.properties:
        body.columns(element)


def _mesh(columns: dict[str, NDArray[Any]], polygons: PlyLists, limits: MeshLimits) -> SourceMesh:
    if not {"x", "y", "z"} <= columns.keys():
        raise MeshCorrupt("Its vertices have no x, y and z.")
    check_face_count(fan_count(polygons.lengths), limits)
    check_indices(polygons.values, len(columns["x"]))
    faces = fan_triangles(polygons.values, polygons.lengths)
    with np.errstate(over="ignore", invalid="ignore"):
        vertices = np.stack([columns[axis].astype(np.float32) for axis in "xyz"], axis=1)
    kinds = np.zeros(len(faces), dtype=np.int16)
    return SourceMesh(vertices, faces, None, _colors(columns), (Material(),), kinds)


def _colors(columns: dict[str, NDArray[Any]]) -> NDArray[np.uint8] | None:
    """Read colours, from 0 to 255, or from 0 to 1 where they are fractions."""
    names = [name for name in ("red", "green", "blue", "alpha") if name in columns]
    if names[:3] != ["red", "green", "blue"]:
        return None
    rows = np.stack([columns[name].astype(np.float64) for name in names], axis=1)
    if not np.isfinite(rows).all():
        return None
    scale = 255 if columns["red"].dtype.kind == "f" and rows.max(initial=0) <= 1 else 1
    colors = np.full((len(rows), 4), 255, dtype=np.uint8)
    colors[:, : len(names)] = np.clip(np.rint(rows * scale), 0, 255)
    return colors
