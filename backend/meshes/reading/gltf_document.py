"""Looks things up in the JSON of a glTF: whatever is absent or of a wrong type is an error."""

from __future__ import annotations

import base64
import binascii
import math
from dataclasses import dataclass, field
from typing import Any

from backend.errors import ExternalResource, MeshCorrupt, UnsupportedExtension

MAX_COUNT = 1 << 53  # what JSON can tell without loss
DRACO = "KHR_draco_mesh_compression"
MESHOPT = frozenset({"EXT_meshopt_compression", "KHR_meshopt_compression"})
READ_EXTENSIONS = frozenset({
    "KHR_mesh_quantization", "KHR_texture_transform", "EXT_texture_webp",
    "KHR_materials_unlit", "KHR_materials_pbrSpecularGlossiness",
})  # fmt: skip
# They change how a surface shines or what else is in a scene, not where its faces are.
_HARMLESS = ("KHR_materials_", "KHR_lights_", "KHR_xmp", "EXT_lights_", "KHR_animation_")
_NEAREST_EXPORT = "Export it again without this extension."


@dataclass
class GltfDocument:
    """A glTF as parsed.

    Parameters
    ----------
    root : dict
        The JSON.
    binary : memoryview or None
        The binary chunk of a GLB.
    """

    root: dict[str, Any]
    binary: memoryview | None
    _buffers: dict[int, memoryview] = field(default_factory=dict)

    def check(self) -> None:
        """Refuse what the file needs from elsewhere.

        Raises
        ------
        UnsupportedExtension, ExternalResource
        """
        for name in _texts(self.root.get("extensionsRequired")):
            if name not in READ_EXTENSIONS and not name.startswith(_HARMLESS):
                raise UnsupportedExtension(f"It needs {name[:80]}.", advice=_advice_for(name))
        for kind in ("buffers", "images"):
            for number in range(self.count(kind)):
                uri = self.item(kind, number).get("uri")
                if uri is not None and not (isinstance(uri, str) and uri[:5].lower() == "data:"):
                    shown = str(uri)[:80]
                    raise ExternalResource(f"{kind}[{number}] lies elsewhere: {shown!r}.")

    def count(self, kind: str) -> int:
        """How many items of a kind there are."""
        return len(self._all(kind))

    def item(self, kind: str, number: object) -> dict[str, Any]:
        """Look up an item such as ``accessors[3]``; raises MeshCorrupt."""
        items = self._all(kind)
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < len(items):
            raise MeshCorrupt(f"It names {kind}[{str(number)[:20]}], but there are {len(items):,}.")
        found = items[number]
        if not isinstance(found, dict):
            raise MeshCorrupt(f"{kind}[{number}] is no object.")
        return found

    def view(self, number: object) -> tuple[memoryview, int | None]:
        """Look up a bufferView: its bytes, and its stride if it has one; raises MeshCorrupt."""
        view = self.item("bufferViews", number)
        self._check_compression(view)
        data = self.buffer(view.get("buffer"))
        start = whole(view, "byteOffset", 0)
        length = whole(view, "byteLength")
        if start + length > len(data):
            raise MeshCorrupt(
                f"bufferViews[{number}] ends at byte {start + length:,}, "
                f"but its buffer has {len(data):,}."
            )
        stride = whole(view, "byteStride") if "byteStride" in view else None
        if stride is not None and not 4 <= stride <= 252:
            raise MeshCorrupt(f"bufferViews[{number}] has a stride of {stride:,} bytes.")
        return data[start : start + length], stride

    def buffer(self, number: object) -> memoryview:
        """Look up a buffer, decoded if it is a data URI; raises MeshCorrupt."""
        entry = self.item("buffers", number)
        known = self._buffers.get(whole({"n": number}, "n"))
        if known is not None:
            return known
        self._check_compression(entry)
        uri = entry.get("uri")
        if uri is not None:
            data = memoryview(data_uri(uri))
        elif number == 0 and self.binary is not None:
            data = self.binary
        else:
            raise MeshCorrupt(f"buffers[{number}] has no data.")
        length = whole(entry, "byteLength")
        if length > len(data):
            raise MeshCorrupt(
                f"buffers[{number}] says {length:,} bytes, but only {len(data):,} are there."
            )
        self._buffers[whole({"n": number}, "n")] = data[:length]
        return data[:length]

    def _all(self, kind: str) -> list[Any]:
        items = self.root.get(kind, [])
        if not isinstance(items, list):
            raise MeshCorrupt(f"{kind!r} is no list.")
        return items

    def _check_compression(self, entry: dict[str, Any]) -> None:
        used = MESHOPT & extensions(entry).keys()
        if used and (entry.get("uri") is None and "buffer" not in entry):
            raise UnsupportedExtension(f"It needs {min(used)}.", advice=_advice_for(min(used)))


def extensions(entry: dict[str, Any]) -> dict[str, Any]:
    """Return the extensions of an item; anything but an object counts as none."""
    found = entry.get("extensions")
    return found if isinstance(found, dict) else {}


def whole(entry: dict[str, Any], key: str, default: int | None = None) -> int:
    """Read a whole number that is not negative; raises MeshCorrupt."""
    value = entry.get(key, default)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_COUNT:
        raise MeshCorrupt(f"{key!r} is {str(value)[:30]}, which is no count.")
    return value


def numbers(entry: dict[str, Any], key: str, default: list[float]) -> list[float]:
    """Read a list of as many finite numbers as the default has; raises MeshCorrupt."""
    value = entry.get(key, default)
    if (
        not isinstance(value, list)
        or len(value) != len(default)
        or not all(_is_number(item) for item in value)
    ):
        raise MeshCorrupt(f"{key!r} is not a list of {len(default)} finite numbers.")
    return [float(item) for item in value]


def number(entry: dict[str, Any], key: str, default: float) -> float:
    """Read a finite number; raises MeshCorrupt."""
    return numbers({key: [entry.get(key, default)]}, key, [default])[0]


def child(entry: dict[str, Any], key: str) -> dict[str, Any]:
    """Read an object, empty if absent; raises MeshCorrupt."""
    value = entry.get(key, {})
    if not isinstance(value, dict):
        raise MeshCorrupt(f"{key!r} is no object.")
    return value


def data_uri(uri: str) -> bytes:
    """Decode a data URI; raises MeshCorrupt."""
    head, comma, tail = uri.partition(",")
    if not comma or not head.endswith(";base64"):
        raise MeshCorrupt("A data URI is not in base64.")
    try:
        return base64.b64decode(tail, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MeshCorrupt("A data URI is not valid base64.") from error


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 1e300 and math.isfinite(value)


def _texts(value: object) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise MeshCorrupt("'extensionsRequired' is no list of names.")
    return value


def _advice_for(name: str) -> str:
    if name == DRACO or name in MESHOPT:
        return "Export it again without compression of the mesh (Draco, meshopt)."
    if name == "KHR_texture_basisu":
        return "Export it again with textures as PNG or JPEG instead of KTX2."
    return _NEAREST_EXPORT
