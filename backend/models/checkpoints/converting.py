"""Turns a pickle of weights into a .safetensors file, once. Imports torch."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from backend.errors import StorageFull, WeightsDamaged
from backend.models.checkpoints.atomic_file import written_whole
from backend.models.checkpoints.optional_packages import optional_package
from backend.models.checkpoints.pickle_names import PICKLE_SUFFIXES, converted_path
from backend.models.checkpoints.pickled_tensors import pickled_tensors
from backend.models.checkpoints.reading import SafetensorsFile

SPARE_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Conversion:
    """What came of a conversion.

    Parameters
    ----------
    is_new : bool
        False when the file was there already.
    """

    source: Path
    target: Path
    tensors: int
    is_new: bool


def convert(source: Path, tell: Callable[[str], None] = lambda words: None) -> Conversion:
    """Write the tensors of a pickle to a .safetensors file beside it, and check them.

    The new file is there as a whole or not at all; the old one stays. Both are mapped into
    memory, so that a model larger than the memory can be converted.

    Parameters
    ----------
    tell : callable
        Told what is done now.

    Raises
    ------
    WeightsMissing, WeightsUnsafe
        The pickle cannot be read.
    WeightsDamaged
        Likewise, or what was written is not what was read.
    StorageFull
        The folder has no room, or cannot be written.
    """
    if source.suffix not in PICKLE_SUFFIXES:
        raise WeightsDamaged(f"{source} is no pickle; there is nothing to convert.")
    target = converted_path(source)
    if target.is_file():
        return Conversion(source, target, len(SafetensorsFile(target).entries), is_new=False)
    save_file = optional_package("safetensors.torch", "write the weights of models").save_file
    tensors = _separate(pickled_tensors(source))
    _require_room(target.parent, tensors)
    try:
        with written_whole(target) as temporary:
            tell(f"Writing {target}")
            save_file(tensors, temporary, metadata={"format": "pt"})
            tell("Comparing it with the original")
            _compare(SafetensorsFile(temporary), tensors, source)
            temporary.chmod(source.stat().st_mode & 0o666)
    except OSError as error:
        raise StorageFull(
            f"{target} cannot be written: {error.strerror or error}.",
            advice="Free some space, or make the folder writable, and run it again.",
        ) from error
    return Conversion(source, target, len(tensors), is_new=True)


def _separate(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors of which no two share memory, which the format does not know."""
    separate, used = {}, set()
    for name, tensor in tensors.items():
        own = tensor.contiguous()
        storage = own.untyped_storage()
        if storage.data_ptr() in used or storage.nbytes() != own.nbytes:
            own = own.clone()
        used.add(own.untyped_storage().data_ptr())
        separate[name] = own
    return separate


def _require_room(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    wanted = sum(tensor.nbytes for tensor in tensors.values()) + SPARE_BYTES
    free = shutil.disk_usage(folder).free
    if free < wanted:
        raise StorageFull(
            f"{folder} has {free / 1e9:.1f} GB free; the new file takes {wanted / 1e9:.1f} GB.",
            advice="Free some space and run it again.",
        )


def _compare(written: SafetensorsFile, tensors: Mapping[str, Tensor], source: Path) -> None:
    """Raise WeightsDamaged unless a file holds the same tensors bit by bit."""
    same = set(written.entries) == set(tensors) and all(
        _is_same(written.read(name), tensor) for name, tensor in tensors.items()
    )
    if not same:
        raise WeightsDamaged(
            f"What was written for {source} is not what was read; nothing was kept.",
            advice="Check the disk and its space, then run it again.",
        )


def _is_same(one: Tensor, other: Tensor) -> bool:
    """Compare bits, so that a NaN equals itself."""
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    bits = (each.reshape(-1).view(torch.uint8) for each in (one, other))
    return torch.equal(*bits)
