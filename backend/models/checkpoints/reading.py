"""Reads tensors from files of weights, one by one and without running anything. Imports torch.

Files are mapped into memory: a tensor that is not asked for is not read, and one that keeps its
type of numbers takes no memory of its own until it is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from backend.errors import WeightsDamaged
from backend.models.checkpoints.optional_packages import optional_package
from backend.models.checkpoints.pickle_names import PICKLE_SUFFIXES, SAFETENSORS_SUFFIX
from backend.models.checkpoints.pickled_tensors import pickled_tensors
from backend.models.checkpoints.safetensors_header import safetensors_entries
from backend.models.checkpoints.tensor_entry import TensorEntry
from backend.progress import stop_if_asked

_DTYPE_NAMES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8",
    torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip


class TensorFile(Protocol):
    """An open file of weights."""

    path: Path
    entries: Mapping[str, TensorEntry]
    """By the names in the file."""

    def read(self, name: str) -> Tensor:
        """Return one tensor, on the CPU."""


def open_tensors(path: Path) -> TensorFile:
    """Open a file of weights.

    Raises
    ------
    WeightsMissing
        There is no such file.
    WeightsDamaged
        It is cut off, or of a kind that is not read.
    WeightsUnsafe
        It is a pickle that holds more than tensors. Nothing of it was run.
    PackageMissing
        No package reads it.
    """
    if path.suffix == SAFETENSORS_SUFFIX:
        return SafetensorsFile(path)
    if path.suffix in PICKLE_SUFFIXES:
        return _PickledFile(path)
    raise WeightsDamaged(f"{path} is no file of weights: its name ends in {path.suffix!r}.")


class SafetensorsFile:
    """A .safetensors file, whatever its name ends in; raises as ``open_tensors`` does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: Mapping[str, TensorEntry] = safetensors_entries(path)
        safetensors = optional_package("safetensors", "read the weights of models")
        try:
            self._file = safetensors.safe_open(path, framework="pt", device="cpu")
        except (safetensors.SafetensorError, OSError) as error:
            raise WeightsDamaged(f"{path} is damaged: {error}.") from error

    def read(self, name: str) -> Tensor:
        """Return one tensor, mapped to the file."""
        tensor: Tensor = self._file.get_tensor(name)
        return tensor


class _PickledFile:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._tensors = pickled_tensors(path)
        self.entries: Mapping[str, TensorEntry] = {
            name: TensorEntry(tuple(tensor.shape), dtype_name(tensor.dtype))
            for name, tensor in self._tensors.items()
        }

    def read(self, name: str) -> Tensor:
        return self._tensors[name]


class ComponentTensors(Mapping[str, Tensor]):
    """The tensors of one network, by their published names, each read when it is asked for.

    Parameters
    ----------
    file : TensorFile
    prefixes : sequence of str
        What its names may begin with in the file; the first of which the file has any counts.
    added_prefix : str
        Put before every name instead.
    dtype : torch.dtype, optional
        Cast to on reading; as in the file if absent.
    float32_prefixes : tuple of str
        Of published names of tensors that are float32 whatever ``dtype`` says.
    """

    def __init__(
        self,
        file: TensorFile,
        prefixes: tuple[str, ...],
        added_prefix: str = "",
        dtype: torch.dtype | None = None,
        float32_prefixes: tuple[str, ...] = (),
    ) -> None:
        self._file = file
        self._dtype = dtype
        self._float32_prefixes = float32_prefixes
        self._names = _names_under(file.entries, prefixes, added_prefix)

    @property
    def entries(self) -> dict[str, TensorEntry]:
        """What is known of each tensor without reading it."""
        return {name: self._file.entries[inside] for name, inside in self._names.items()}

    def __getitem__(self, name: str) -> Tensor:
        stop_if_asked()
        tensor = self._file.read(self._names[name])
        is_float32 = name.startswith(self._float32_prefixes)
        dtype = torch.float32 if is_float32 else self._dtype
        return tensor if dtype is None else tensor.to(dtype)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _names_under(
    entries: Mapping[str, TensorEntry], prefixes: tuple[str, ...], added_prefix: str
) -> dict[str, str]:
    """Return the name in the file of every published name."""
    for prefix in prefixes:
        names = {
            added_prefix + name.removeprefix(prefix): name
            for name in entries
            if name.startswith(prefix)
        }
        if names:
            return names
    return {}


def dtype_name(dtype: torch.dtype) -> str:
    """Return what safetensors calls a type of numbers; torch's own name where it has none."""
    return _DTYPE_NAMES.get(dtype, str(dtype))
