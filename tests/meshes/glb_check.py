"""Checks a GLB as a validator does: whatever it says must be true of its bytes.

Source: Khronos glTF 2.0 specification, sections 3.6 (buffers), 3.7 (meshes), 3.8 (textures) and
4 (container).
"""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

KINDS = {5121: "u1", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}


class CheckedGlb:
    """A GLB whose container, buffers, accessors, materials and textures were all looked at.

    Parameters
    ----------
    path : Path
        Read at once; AssertionError says what is wrong.
    """

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        magic, version, total = struct.unpack_from("<4sII", data)
        assert (magic, version, total) == (b"glTF", 2, len(data))
        length, kind = struct.unpack_from("<I4s", data, 12)
        assert kind == b"JSON"
        assert length % 4 == 0
        self.document: dict[str, Any] = json.loads(data[20 : 20 + length])
        size, kind = struct.unpack_from("<I4s", data, 20 + length)
        assert kind == b"BIN\0"
        self.binary = data[28 + length :]
        assert size == len(self.binary) == self.document["buffers"][0]["byteLength"]
        assert self.document["asset"]["version"] == "2.0"
        self._check_views()
        self._check_meshes()
        self.images = [self._image(entry) for entry in self.document.get("images", [])]
        self._check_materials()

    def values(self, number: int) -> np.ndarray:
        """Read an accessor; its bounds must hold and be those of the values."""
        entry = self.document["accessors"][number]
        view = self.document["bufferViews"][entry["bufferView"]]
        width, kind = WIDTHS[entry["type"]], np.dtype(KINDS[entry["componentType"]])
        start = view["byteOffset"] + entry.get("byteOffset", 0)
        assert start % kind.itemsize == 0
        assert entry["count"] * width * kind.itemsize <= view["byteLength"]
        found = np.frombuffer(self.binary, kind, entry["count"] * width, start)
        found = found.reshape(-1, width)
        assert np.isfinite(found).all()
        if "min" in entry:
            np.testing.assert_array_equal(found.min(axis=0), np.float32(entry["min"]))
            np.testing.assert_array_equal(found.max(axis=0), np.float32(entry["max"]))
        return found

    def map_of(self, name: str, material: int = 0) -> np.ndarray:
        """Decode a texture of a material, (h, w, 3) uint8."""
        surface = self.document["materials"][material]["pbrMetallicRoughness"]
        texture = self.document["textures"][surface[name]["index"]]
        return np.asarray(self.images[texture["source"]].convert("RGB"))

    def _check_views(self) -> None:
        ends = 0
        for view in self.document["bufferViews"]:
            assert view["byteOffset"] % 4 == 0
            assert view["byteOffset"] >= ends, "views overlap"
            ends = view["byteOffset"] + view["byteLength"]
            assert ends <= len(self.binary)

    def _check_meshes(self) -> None:
        for mesh in self.document["meshes"]:
            for primitive in mesh["primitives"]:
                self._check_primitive(primitive)

    def _check_primitive(self, primitive: dict[str, Any]) -> None:
        named = {name: self.values(key) for name, key in primitive["attributes"].items()}
        count = len(named["POSITION"])
        entry = self.document["accessors"][primitive["attributes"]["POSITION"]]
        assert {"min", "max"} <= set(entry)
        assert all(len(values) == count for values in named.values())
        self._check_kinds(primitive)
        corners = self.values(primitive["indices"]).reshape(-1)
        assert len(corners) % 3 == 0
        assert corners.max() < count
        if "NORMAL" in named:
            lengths = np.linalg.norm(named["NORMAL"], axis=1)
            np.testing.assert_allclose(lengths, 1, atol=5e-4)
        if "TEXCOORD_0" in named:
            assert (named["TEXCOORD_0"] >= 0).all()
            assert (named["TEXCOORD_0"] <= 1).all()
        assert 0 <= primitive["material"] < len(self.document["materials"])
        self._check_places_of_textures(primitive)

    def _check_kinds(self, primitive: dict[str, Any]) -> None:
        """Positions and normals are floats, corners whole numbers, each in a view for its use."""
        uses = {name: (key, 34962) for name, key in primitive["attributes"].items()}
        for name, (key, target) in {**uses, "corners": (primitive["indices"], 34963)}.items():
            entry = self.document["accessors"][key]
            assert self.document["bufferViews"][entry["bufferView"]].get("target") == target
            shape, kind = entry["type"], entry["componentType"]
            if name in {"POSITION", "NORMAL"}:
                assert (shape, kind) == ("VEC3", 5126)
            if name.startswith("TEXCOORD"):
                assert shape == "VEC2"
                assert kind == 5126 or entry["normalized"]
            if name == "corners":
                assert shape == "SCALAR"
                assert kind in {5121, 5123, 5125}
                assert "normalized" not in entry
                restart = 2 ** (8 * np.dtype(KINDS[kind]).itemsize) - 1
                assert self.values(key).max() < restart

    def _check_places_of_textures(self, primitive: dict[str, Any]) -> None:
        """Every texture of the material finds the coordinates that it names."""
        surface = self.document["materials"][primitive["material"]]["pbrMetallicRoughness"]
        for name in ("baseColorTexture", "metallicRoughnessTexture"):
            if name in surface:
                number = surface[name].get("texCoord", 0)
                assert f"TEXCOORD_{number}" in primitive["attributes"], name

    def _image(self, entry: dict[str, Any]) -> Image.Image:
        view = self.document["bufferViews"][entry["bufferView"]]
        assert "target" not in view
        start = view["byteOffset"]
        image = Image.open(io.BytesIO(self.binary[start : start + view["byteLength"]]))
        assert f"image/{image.format.lower()}" == entry["mimeType"]
        assert entry["mimeType"] in {"image/png", "image/jpeg"}
        image.load()
        return image

    def _check_materials(self) -> None:
        textures = self.document.get("textures", [])
        assert all(0 <= one["source"] < len(self.images) for one in textures)
        for material in self.document["materials"]:
            surface = material["pbrMetallicRoughness"]
            for name in ("metallicFactor", "roughnessFactor"):
                assert 0 <= surface[name] <= 1
            for name in ("baseColorTexture", "metallicRoughnessTexture"):
                if name in surface:
                    assert 0 <= surface[name]["index"] < len(textures)
