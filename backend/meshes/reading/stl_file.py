"""Reads STL, binary and text: loose triangles, joined where their corners are equal."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from backend.errors import MeshCorrupt
from backend.meshes.reading.bounded_bytes import array_at
from backend.meshes.reading.mesh_checks import check_face_count
from backend.meshes.reading.mesh_format import STL_HEADER_BYTES
from backend.meshes.reading.mesh_limits import MeshLimits
from backend.meshes.reading.number_text import numbers_in
from backend.meshes.reading.welding import welded_soup
from backend.meshes.source_mesh import SourceMesh
from backend.meshes.triangle_mesh import TriangleMesh

_FACE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
_VERTEX = re.compile(rb"^[ \t]*vertex[ \t]+(.*)$", re.MULTILINE | re.IGNORECASE)


def read_binary_stl(data: bytes, limits: MeshLimits) -> SourceMesh:
    """Read 80 bytes of header, a count, and 50 bytes per face; raises BadInput."""
    count = int.from_bytes(data[80:STL_HEADER_BYTES], "little")
    body = memoryview(data)[STL_HEADER_BYTES:]
    faces = array_at(body, _FACE, (count,), what="The faces of the STL file")
    check_face_count(count, limits)
    return _joined(faces["corners"].astype(np.float32))


def read_text_stl(data: bytes, limits: MeshLimits) -> SourceMesh:
    """Read the lines that begin with ``vertex``; raises BadInput."""
    count = sum(1 for _ in _VERTEX.finditer(data))
    if count % 3:
        raise MeshCorrupt(f"It has {count:,} lines 'vertex', which is no multiple of three.")
    check_face_count(count // 3, limits)
    lines = b"\n".join(_VERTEX.findall(data))
    return _joined(numbers_in(lines, 3 * count, "The vertices of the STL file").reshape(-1, 3, 3))


def _joined(corners: NDArray[np.floating]) -> SourceMesh:
    with np.errstate(over="ignore"):  # what does not fit is infinite, and refused as that
        return SourceMesh.plain(TriangleMesh(*welded_soup(corners.astype(np.float32))))
