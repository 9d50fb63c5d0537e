"""Opens GLB and glTF: the JSON text and the binary chunk, with every length checked."""

from __future__ import annotations

import json
from typing import Any

from backend.errors import MeshCorrupt, UnsupportedMesh
from backend.meshes.reading.gltf_document import GltfDocument

HEADER_BYTES = 12
CHUNK_HEADER_BYTES = 8
MAX_CHUNKS = 16


def open_glb(data: bytes) -> GltfDocument:
    """Open a GLB file.

    Raises
    ------
    MeshCorrupt
        A chunk ends beyond the file, or the JSON cannot be read.
    UnsupportedMesh
        It is of glTF 1.
    """
    if len(data) < HEADER_BYTES:
        raise MeshCorrupt("The GLB file ends in its header.")
    version = int.from_bytes(data[4:8], "little")
    total = int.from_bytes(data[8:12], "little")
    if version != 2:
        raise UnsupportedMesh(f"It is of glTF version {version}; version 2 is read.")
    if total > len(data):
        raise MeshCorrupt(f"The GLB file says {total:,} bytes, but only {len(data):,} are there.")
    chunks = _chunks(data, total)
    if not chunks or chunks[0][0] != b"JSON":
        raise MeshCorrupt("The GLB file does not begin with its JSON.")
    binary = next((body for kind, body in chunks[1:] if kind == b"BIN\0"), None)
    return GltfDocument(_parsed(bytes(chunks[0][1])), binary)


def open_gltf(data: bytes) -> GltfDocument:
    """Open a glTF file; raises MeshCorrupt, and UnsupportedMesh when the JSON is another."""
    return GltfDocument(_parsed(data), None)


def _chunks(data: bytes, total: int) -> list[tuple[bytes, memoryview]]:
    view = memoryview(data)[:total]
    found: list[tuple[bytes, memoryview]] = []
    position = HEADER_BYTES
    while position + CHUNK_HEADER_BYTES <= total and len(found) < MAX_CHUNKS:
        length = int.from_bytes(view[position : position + 4], "little")
        kind = bytes(view[position + 4 : position + 8])
        start = position + CHUNK_HEADER_BYTES
        if start + length > total:
            raise MeshCorrupt(
                f"A chunk of the GLB file says {length:,} bytes, "
                f"but only {total - start:,} are left."
            )
        found.append((kind, view[start : start + length]))
        position = start + length
    return found


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise MeshCorrupt(f"The JSON of the glTF cannot be read: {str(error)[:120]}") from error
    if not isinstance(value, dict) or not isinstance(value.get("asset"), dict):
        raise UnsupportedMesh("The JSON is no glTF: it names no 'asset'.")
    version = str(value["asset"].get("version", ""))
    if not version.startswith("2"):
        raise UnsupportedMesh(f"It is of glTF version {version[:20]!r}; version 2 is read.")
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")
