"""Mesh files put together byte by byte, right ones and wrong ones."""

from __future__ import annotations

import base64
import io
import json
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

from tests.meshes.shapes import cube

CUBE = cube()
KINDS = {"<i1": 5120, "<u1": 5121, "<i2": 5122, "<u2": 5123, "<u4": 5125, "<f4": 5126}
TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
TRIANGLE = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], dtype="<f4")


def glb(document: object, body: bytes = b"", version: int = 2) -> bytes:
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text
    if body:
        body += bytes(-len(body) % 4)
        chunks += struct.pack("<I4s", len(body), b"BIN\0") + body
    return b"glTF" + struct.pack("<II", version, 12 + len(chunks)) + chunks


class GltfFile:
    """A glTF under construction; ``document`` may be bent at will before it is written."""

    def __init__(self) -> None:
        self.body = b""
        self.document: dict[str, Any] = {
            "asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": []}], "nodes": [],
            "meshes": [], "accessors": [], "bufferViews": [], "buffers": [{"byteLength": 0}],
        }  # fmt: skip

    def view(self, data: bytes, **more: Any) -> int:
        self.body += bytes(-len(self.body) % 4)
        entry = {"buffer": 0, "byteOffset": len(self.body), "byteLength": len(data), **more}
        self.body += data
        self.document["bufferViews"].append(entry)
        self.document["buffers"][0]["byteLength"] = len(self.body)
        return len(self.document["bufferViews"]) - 1

    def accessor(self, values: Any, **more: Any) -> int:
        values = np.asarray(values)
        width = values.shape[1] if values.ndim > 1 else 1
        entry = {
            "bufferView": self.view(values.tobytes()), "count": len(values), "type": TYPES[width],
            "componentType": KINDS[values.dtype.str.replace("|", "<")], **more,
        }  # fmt: skip
        return self.add("accessors", entry)

    def add(self, kind: str, entry: dict[str, Any]) -> int:
        self.document.setdefault(kind, []).append(entry)
        return len(self.document[kind]) - 1

    def mesh(self, *primitives: dict[str, Any]) -> int:
        return self.add("meshes", {"primitives": list(primitives)})

    def node(self, **entry: Any) -> int:
        number = self.add("nodes", entry)
        self.document["scenes"][0]["nodes"].append(number)
        return number

    def surface(self, vertices: Any, faces: Any = None, **more: Any) -> int:
        attributes = {"POSITION": self.accessor(np.asarray(vertices, dtype="<f4"))}
        attributes |= more.pop("attributes", {})
        primitive = {"attributes": attributes, **more}
        if faces is not None:
            primitive["indices"] = self.accessor(np.asarray(faces, dtype="<u4").reshape(-1))
        return self.mesh(primitive)

    def glb(self) -> bytes:
        return glb(self.document, self.body)

    def gltf(self) -> bytes:
        uri = "data:application/octet-stream;base64," + base64.b64encode(self.body).decode()
        self.document["buffers"][0]["uri"] = uri
        return json.dumps(self.document).encode()


def cube_file(**node: Any) -> GltfFile:
    file = GltfFile()
    file.node(mesh=file.surface(CUBE.vertices, CUBE.faces), **node)
    return file


def textured_file(image: bytes, **info: Any) -> GltfFile:
    """One triangle with a texture."""
    file = GltfFile()
    uvs = file.accessor(np.array([[0, 0], [1, 0], [0, 0.5]], dtype="<f4"))
    file.node(mesh=file.surface(TRIANGLE, [0, 1, 2], material=0, attributes={"TEXCOORD_0": uvs}))
    file.add("images", {"bufferView": file.view(image), "mimeType": "image/png"})
    file.add("textures", {"source": 0})
    surface = {"baseColorTexture": {"index": 0, **info}, "baseColorFactor": [1, 0.5, 0.25, 1]}
    file.add("materials", {"name": "paint", "pbrMetallicRoughness": surface})
    return file


def picture(kind: str = "PNG", size: tuple[int, int] = (8, 8)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(buffer, kind)
    return buffer.getvalue()


def png_header(width: int, height: int | None = None) -> bytes:
    """A PNG that claims a size, square if one side is given, and holds a few pixels."""
    data = bytearray(picture())
    data[16:24] = width.to_bytes(4, "big") + (height or width).to_bytes(4, "big")
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


def png_bomb(side: int) -> bytes:
    """A square PNG of transparent black: all its pixels, packed a thousand to one.

    One packed block is repeated, which takes no time; Adler's sum of zeros is known.
    """
    packer = zlib.compressobj(9)
    row = packer.compress(bytes(1 + 4 * side)) + packer.flush(zlib.Z_FULL_FLUSH)
    start, block = row[:2], row[2:]
    length = side * (1 + 4 * side)
    body = start + block * side + b"\x03\x00" + struct.pack(">HH", length % 65521, 1)
    head = struct.pack(">IIBBBBB", side, side, 8, 6, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", body), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def obj_of_cube() -> bytes:
    lines = [f"v {x} {y} {z}" for x, y, z in CUBE.vertices.tolist()]
    lines += [f"f {a} {b} {c}" for a, b, c in (CUBE.faces + 1).tolist()]
    return "\n".join(lines).encode() + b"\n"


def stl_of_cube() -> bytes:
    rows = np.zeros(len(CUBE.faces), dtype=[("n", "<f4", 3), ("v", "<f4", (3, 3)), ("a", "<u2")])
    rows["v"] = CUBE.vertices[CUBE.faces]
    return bytes(80) + struct.pack("<I", len(rows)) + rows.tobytes()


def stl_text_of_cube() -> bytes:
    faces = (
        "facet normal 0 0 0\n outer loop\n"
        + "".join(f"  vertex {x} {y} {z}\n" for x, y, z in corners)
        + " endloop\nendfacet\n"
        for corners in CUBE.vertices[CUBE.faces].tolist()
    )
    return ("solid cube\n" + "".join(faces) + "endsolid cube\n").encode()


def ply_of_cube(order: str = "<") -> bytes:
    """Binary, or text when ``order`` is empty."""
    name = {"<": "binary_little_endian", ">": "binary_big_endian", "": "ascii"}[order]
    head = (
        f"ply\nformat {name} 1.0\ncomment made here\nelement vertex {len(CUBE.vertices)}\n"
        "property float x\nproperty float y\nproperty float z\n"
        f"element face {len(CUBE.faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    ).encode()
    if not order:
        rows = [" ".join(map(str, row)) for row in CUBE.vertices.tolist()]
        rows += [f"3 {a} {b} {c}" for a, b, c in CUBE.faces.tolist()]
        return head + "\n".join(rows).encode() + b"\n"
    faces = np.zeros(len(CUBE.faces), dtype=[("n", "u1"), ("v", f"{order}i4", 3)])
    faces["n"], faces["v"] = 3, CUBE.faces
    return head + CUBE.vertices.astype(f"{order}f4").tobytes() + faces.tobytes()
