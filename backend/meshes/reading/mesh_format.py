"""Tells formats apart by their first bytes; names and content types are not asked."""

from __future__ import annotations

import re
from enum import StrEnum

from backend.errors import EmptyFile, UnsupportedMesh

STL_HEADER_BYTES = 84
STL_FACE_BYTES = 50
_LOOKED_AT_BYTES = 1 << 16
_PICKLE_PROTOCOLS = range(2, 6)
_FOREIGN = {
    b"PK\x03\x04": "It is a zip archive (or a PyTorch checkpoint, 3MF or USDZ file).",
    b"\x1f\x8b": "It is compressed with gzip.",
    b"Kaydara FBX Binary": "It is an FBX file.",
    b"PXR-USDC": "It is a USD file.",
    b"BLENDER": "It is a Blender file.",
    b"\x89PNG": "It is a PNG picture.",
    b"\xff\xd8\xff": "It is a JPEG picture.",
    b"RIFF": "It is a picture, sound or film.",
    b"%PDF": "It is a PDF document.",
    b"\x89HDF": "It is an HDF5 file.",
    b"\x7fELF": "It is a program.",
    b"\x93NUMPY": "It is a NumPy array.",
    b"<": "It is a text in XML or HTML.",
}
_OBJ_LINE = re.compile(
    rb"^[ \t]*(v[ \t]+\S+[ \t]+\S+[ \t]+\S+|f[ \t]+-?\d|mtllib[ \t]+\S)", re.MULTILINE
)
_TEXT_BYTES = bytes([*range(7, 14), 27, *range(32, 127), *range(128, 256)])


class MeshFormat(StrEnum):
    """Formats that are read."""

    GLB = "glb"
    GLTF = "gltf"
    OBJ = "obj"
    PLY = "ply"
    STL = "stl"
    STL_TEXT = "stl_text"


def mesh_format(data: bytes) -> MeshFormat:
    r"""Tell the format of a file.

    Raises
    ------
    EmptyFile
        There are no bytes.
    UnsupportedMesh
        It is none of ours; what it is instead is named where it can be told.

    Examples
    --------
    >>> mesh_format(b"ply\nformat ascii 1.0\n").value, mesh_format(b"v 0 0 0\n").value
    ('ply', 'obj')
    """
    if not data:
        raise EmptyFile
    _refuse_foreign(data)
    start = data[:_LOOKED_AT_BYTES]
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n")
    if data.startswith(b"glTF"):
        return MeshFormat.GLB
    if re.match(rb"ply\s", data):
        return MeshFormat.PLY
    if _is_binary_stl(data):
        return MeshFormat.STL
    if not _is_text(start):
        raise UnsupportedMesh("The content is not GLB, glTF, OBJ, PLY or STL.")
    return _text_format(text, data)


def _text_format(text: bytes, data: bytes) -> MeshFormat:
    if text.startswith(b"{"):
        return MeshFormat.GLTF
    if text[:5].lower() == b"solid":
        return MeshFormat.STL_TEXT
    if _OBJ_LINE.search(data):
        return MeshFormat.OBJ
    raise UnsupportedMesh("The content is text, but not glTF, OBJ, PLY or STL.")


def _refuse_foreign(data: bytes) -> None:
    if data[0] == 0x80 and len(data) > 1 and data[1] in _PICKLE_PROTOCOLS:
        raise UnsupportedMesh(
            "It is a Python pickle or a checkpoint. Such files are never opened here."
        )
    if data[8:9] == b"{" and int.from_bytes(data[:8], "little") <= len(data):
        raise UnsupportedMesh("It is a safetensors file, which holds weights and no mesh.")
    for signature, told in _FOREIGN.items():
        if data.startswith(signature) and not _has_stl_size(data):
            raise UnsupportedMesh(told)


def _is_binary_stl(data: bytes) -> bool:
    """Tell by the size; a damaged one by a header of text, after which there is a count."""
    if len(data) < STL_HEADER_BYTES:
        return False
    if _has_stl_size(data):
        return True
    header = data[:80].rstrip(b"\0")
    return _is_text(header) and not _is_text(data[:_LOOKED_AT_BYTES])


def _has_stl_size(data: bytes) -> bool:
    count = int.from_bytes(data[80:84], "little")
    return len(data) == STL_HEADER_BYTES + STL_FACE_BYTES * count


def _is_text(data: bytes) -> bool:
    return not data.translate(None, _TEXT_BYTES)
