"""Reads which tensors a .safetensors file holds, and checks that they are all there."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backend.errors import WeightsDamaged, WeightsMissing
from backend.models.checkpoints.tensor_entry import TensorEntry

MOST_HEADER_BYTES = 100_000_000
BYTES_OF = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1,
    "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1,
}  # fmt: skip


def safetensors_entries(path: Path) -> dict[str, TensorEntry]:
    """Read which tensors a .safetensors file holds, and check that they are all there.

    Reads the head of the file only.

    Raises
    ------
    WeightsMissing
        There is no such file.
    WeightsDamaged
        It is cut off, or is no .safetensors file.

    Source
    ------
    The safetensors format: 8 bytes with the length of the head (little endian), the head as JSON,
    then the tensors, each at the place that the head gives.
    """
    try:
        with path.open("rb") as file:
            size_bytes = file.seek(0, 2)
            file.seek(0)
            (length,) = struct.unpack("<Q", file.read(8))
            if length > min(MOST_HEADER_BYTES, size_bytes - 8):
                raise _damaged(path, "it is cut off, or is no .safetensors file")
            head = json.loads(file.read(length))
    except FileNotFoundError:
        raise WeightsMissing(f"There is no file {path}.") from None
    except (OSError, struct.error, ValueError) as error:
        raise _damaged(path, "its head cannot be read") from error
    if not isinstance(head, dict):
        raise _damaged(path, "its head cannot be read")
    head.pop("__metadata__", None)
    return _checked(path, head, size_bytes - 8 - length)


def _checked(path: Path, head: Mapping[str, Any], data_bytes: int) -> dict[str, TensorEntry]:
    entries, end = {}, 0
    for name, row in head.items():
        try:
            entry = TensorEntry(tuple(int(side) for side in row["shape"]), str(row["dtype"]))
            first, last = (int(place) for place in row["data_offsets"])
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(path, f"its entry for {name} cannot be read") from error
        if last > data_bytes:
            raise _damaged(path, f"it is cut off: the numbers of {name} are not all there")
        wanted = math.prod(entry.shape) * BYTES_OF.get(entry.dtype, 0)
        if first < 0 or (entry.dtype in BYTES_OF and last - first != wanted):
            raise _damaged(path, f"its entry for {name} contradicts itself")
        entries[name], end = entry, max(end, last)
    if end != data_bytes:
        raise _damaged(path, f"it holds {data_bytes - end} bytes that belong to no tensor")
    return entries


def _damaged(path: Path, why: str) -> WeightsDamaged:
    return WeightsDamaged(f"{path} is damaged: {why}.")
