"""Part trees and surfaces made at random, as a pipeline writes them."""

from __future__ import annotations

import io
import json
import random
import struct
from typing import Any

import numpy as np


def made_tree(
    patch_count: int, seed: int = 0, *, bodies: int = 1, suggested: int = 4
) -> dict[str, Any]:
    """A ``part_tree.json`` of that many patches that merge into ``bodies`` parts at most."""
    rng = random.Random(seed)
    nodes: list[int] = list(range(patch_count))
    merges: list[list[int]] = []
    while len(nodes) > bodies:
        first, second = rng.sample(nodes, 2)
        nodes = [node for node in nodes if node not in (first, second)]
        nodes.append(patch_count + len(merges))
        merges.append([first, second])
    return {
        "patch_count": patch_count,
        "merges": merges,
        "costs": [0.1 * i for i in range(len(merges))],
        "suggested": suggested,
        "fewest": bodies,
        "version": 1,
        "palette": [f"#{40 + i:02x}{200 - i:02x}80" for i in range(patch_count)],
        "patches": {
            "faces": [rng.randint(1, 50) for _ in range(patch_count)],
            "areas": [rng.random() for _ in range(patch_count)],
            "boxes": [[i, 0, 0, i + 1, 1, 2] for i in range(patch_count)],
        },
    }


def with_made_parts(document: dict[str, Any], parts: list[list[int]]) -> dict[str, Any]:
    """Add the parts that the pipeline delivered, here closed ones."""
    described = [
        {"index": i, "name": f"part_{i:02d}", "color": document["palette"][i], "volume": 0.5 + i,
         "closed": True}
        for i in range(len(parts))
    ]  # fmt: skip
    return document | {"parts": described}


def tree_data(face_patches: np.ndarray) -> bytes:
    """A ``part_tree.npz``."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, face_patches=face_patches.astype("<i4"), costs=np.zeros(3))
    return buffer.getvalue()


def row_of_boxes(count: int, cells: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes in a row: vertices (n, 3), faces (m, 3), and the box of each vertex.

    ``cells`` squares along each edge of a box, so 12 * cells ** 2 faces each.
    """
    side = np.linspace(0, 1, cells + 1)
    u, v = (grid.ravel() for grid in np.meshgrid(side, side, indexing="ij"))
    corner = (np.arange(cells)[:, None] * (cells + 1) + np.arange(cells)).ravel()
    a, b, c, d = corner, corner + cells + 1, corner + cells + 2, corner + 1
    square = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    vertices: list[np.ndarray] = []
    faces: list[np.ndarray] = []
    for axis in range(3):
        for end in (0.0, 1.0):
            points = np.zeros((len(u), 3))
            points[:, axis], points[:, (axis + 1) % 3], points[:, (axis + 2) % 3] = end, u, v
            turned = square if end else square[:, ::-1]
            faces.append(turned + sum(len(part) for part in vertices))
            vertices.append(points)
    box, box_faces = np.concatenate(vertices) * 0.8, np.concatenate(faces)
    shift = np.arange(count)[:, None, None] * np.array([1.0, 0, 0])
    return (
        (box + shift).reshape(-1, 3).astype(np.float32),
        (box_faces + np.arange(count)[:, None, None] * len(box)).reshape(-1, 3).astype(np.uint32),
        np.repeat(np.arange(count), len(box)),
    )


def surface_glb(
    vertices: np.ndarray, faces: np.ndarray, patches: np.ndarray, texture: bytes | None = None
) -> bytes:
    """A ``surface.glb`` with the patch of each vertex, and normals as the pipeline writes them."""
    columns: dict[str, np.ndarray] = {
        "POSITION": vertices.astype(np.float32),
        "_PATCH": patches.astype(np.float32),
    }
    if texture is not None:
        columns["TEXCOORD_0"] = vertices[:, :2].astype(np.float32)
    kinds = {1: "SCALAR", 2: "VEC2", 3: "VEC3"}
    binary, views, accessors, attributes = b"", [], [], {}
    for name, column in [*columns.items(), ("indices", faces.astype(np.uint32).ravel())]:
        width = 1 if column.ndim == 1 else column.shape[1]
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": column.nbytes})
        accessors.append({
            "bufferView": len(views) - 1, "count": len(column), "type": kinds[width],
            "componentType": 5125 if name == "indices" else 5126,
        })  # fmt: skip
        if name == "POSITION":
            accessors[-1] |= {"min": column.min(0).tolist(), "max": column.max(0).tolist()}
        if name != "indices":
            attributes[name] = len(accessors) - 1
        binary += column.tobytes()
    material: dict[str, Any] = {"name": "cover", "pbrMetallicRoughness": {"metallicFactor": 0}}
    document: dict[str, Any] = {
        "asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": [0]}],
        "nodes": [{"name": "surface", "mesh": 0}], "materials": [material],
        "meshes": [{"primitives": [{"attributes": attributes, "indices": len(accessors) - 1,
                                    "material": 0}]}],
        "accessors": accessors, "bufferViews": views,
    }  # fmt: skip
    if texture is not None:
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": len(texture)})
        binary += texture + b"\0" * (-len(texture) % 4)
        document |= {"images": [{"bufferView": len(views) - 1, "mimeType": "image/png"}],
                     "textures": [{"source": 0}]}  # fmt: skip
        material["pbrMetallicRoughness"]["baseColorTexture"] = {"index": 0}
    document["buffers"] = [{"byteLength": len(binary)}]
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    whole = 12 + 8 + len(text) + 8 + len(binary)
    return b"".join([
        struct.pack("<4sII", b"glTF", 2, whole), struct.pack("<I4s", len(text), b"JSON"), text,
        struct.pack("<I4s", len(binary), b"BIN\0"), binary,
    ])  # fmt: skip
