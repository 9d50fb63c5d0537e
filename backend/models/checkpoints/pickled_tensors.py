"""Reads pickles of tensors, and refuses to run anything that is in them. Imports torch."""

from __future__ import annotations

import pickle
import pickletools
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from backend.errors import WeightsDamaged, WeightsMissing, WeightsUnsafe

PICKLE_START = b"\x80"
_REFUSED_NAME = re.compile(r"GLOBAL ([\w.]+)|[Uu]nsupported class ([\w.]+)")


def pickled_tensors(path: Path) -> dict[str, Tensor]:
    """Read a .ckpt, .pth, .pt or .bin file.

    A dictionary of dictionaries, as the authors publish them, is flattened: ``model`` with
    ``x.weight`` becomes ``model.x.weight``. Numbers and texts beside the tensors are left out.

    Raises
    ------
    WeightsMissing
        There is no such file.
    WeightsDamaged
        It is cut off, or holds no tensors.
    WeightsUnsafe
        It asks for anything but tensors and plain values. Nothing of it was run.
    """
    if not path.is_file():
        raise WeightsMissing(f"There is no file {path}.")
    try:
        content = _loaded(path, is_mapped=_is_mapped(path))
    except pickle.UnpicklingError as error:
        raise _refused(path, error) from error
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, IndexError) as error:
        raise WeightsDamaged(f"{path} is damaged: it cannot be read to its end.") from error
    tensors = dict(_flat(content)) if isinstance(content, Mapping) else {}
    if not tensors:
        raise WeightsDamaged(f"{path} holds no tensors by name.")
    return tensors


def _loaded(path: Path, *, is_mapped: bool) -> Any:
    with warnings.catch_warnings():
        # an unusual protocol is either read or refused, and told then
        warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)
        return torch.load(path, map_location="cpu", weights_only=True, mmap=is_mapped)


def _is_mapped(path: Path) -> bool:
    """Return whether the file can be mapped into memory, which old pickles cannot.

    Raises
    ------
    WeightsDamaged
        It is neither an archive of torch nor an old pickle.
    """
    try:
        if zipfile.is_zipfile(path):
            return True
        with path.open("rb") as file:
            start = file.read(len(PICKLE_START))
    except OSError as error:
        raise WeightsDamaged(f"{path} cannot be read: {error.strerror}.") from error
    if start != PICKLE_START:
        raise WeightsDamaged(f"{path} is damaged: it is cut off, or no file of weights.")
    return False


def _refused(path: Path, error: pickle.UnpicklingError) -> WeightsUnsafe | WeightsDamaged:
    """Tell a pickle that asks for code from one that is damaged."""
    found = _REFUSED_NAME.search(str(error))
    name = (found.group(1) or found.group(2)) if found else _first_global(path)
    if name is None:
        return WeightsDamaged(f"{path} is damaged, or holds what no file of weights holds.")
    return WeightsUnsafe(f"{path} holds more than tensors: it asks for {name}.")


def _first_global(path: Path) -> str | None:
    """Return the first function or class that a plain pickle asks for; None when it is damaged.

    The instructions are listed, not followed.
    """
    texts: list[str] = []
    try:
        with path.open("rb") as file:
            for operation, argument, _ in pickletools.genops(file):
                if operation.name in ("GLOBAL", "INST"):
                    return str(argument).replace(" ", ".")
                if operation.name == "STACK_GLOBAL":
                    return ".".join(texts[-2:])
                if isinstance(argument, str):
                    texts.append(argument)
    except (OSError, ValueError, IndexError, AttributeError):
        return None
    return None


def _flat(content: Mapping[Any, Any], prefix: str = "") -> list[tuple[str, Tensor]]:
    """Return tensors by name, one level deep."""
    pairs: list[tuple[str, Tensor]] = []
    for key, value in content.items():
        name = f"{prefix}{key}"
        if isinstance(value, Tensor):
            pairs.append((name, value))
        elif isinstance(value, Mapping) and not prefix:
            pairs.extend(_flat(value, f"{name}."))
    return pairs
