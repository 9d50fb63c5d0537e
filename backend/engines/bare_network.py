"""Writes a network without the values of its tensors, and reads it with made-up ones.

What comes back computes as fast as the first, not the same. Small tensors keep their values: they
may be indices or tables that the network's way through its code depends on.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import IO, Any

import torch
from numpy.typing import NDArray

KEPT_BYTES = 65_536
SPREAD = 0.02


def dump_bare(thing: object, path: Path) -> None:
    """Write what holds tensors; raises what pickling it raises."""
    with path.open("wb") as file:
        _Writer(file, protocol=pickle.HIGHEST_PROTOCOL).dump(thing)


def load_bare(path: Path) -> Any:
    """Read what ``dump_bare`` wrote; only of files that this program has just written."""
    with path.open("rb") as file:
        return _Reader(file).load()


class _Writer(pickle.Pickler):
    """Writes of a tensor what it is like."""

    def __init__(self, file: IO[bytes], protocol: int) -> None:
        super().__init__(file, protocol)
        # Alive until all is written, so that no other tensor gets the name of one.
        self._seen: dict[int, torch.Tensor] = {}

    def persistent_id(self, thing: Any) -> Any:
        if not isinstance(thing, torch.Tensor):
            return None
        self._seen[id(thing)] = thing
        kind = torch.nn.Parameter if isinstance(thing, torch.nn.Parameter) else torch.Tensor
        like = (tuple(thing.shape), thing.dtype, str(thing.device), thing.requires_grad)
        return id(thing), kind, like, _values_of_small(thing)


class _Reader(pickle.Unpickler):
    """Makes tensors; one that is shared comes back shared."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self._made: dict[int, torch.Tensor] = {}

    def persistent_load(self, told: Any) -> torch.Tensor:
        number, kind, (shape, dtype, device, needs_gradient), kept = told
        if number not in self._made:
            if kept is not None:
                tensor = torch.from_numpy(kept).to(device)
            else:
                tensor = torch.zeros(shape, dtype=dtype, device=device)
                if dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16):
                    tensor.normal_(0.0, SPREAD)
            if kind is torch.nn.Parameter:
                tensor = torch.nn.Parameter(tensor, requires_grad=needs_gradient)
            self._made[number] = tensor
        return self._made[number]


def _values_of_small(tensor: torch.Tensor) -> NDArray[Any] | None:
    """Return the values of a small tensor, None of a large one or of a type unknown to numpy."""
    if tensor.numel() * tensor.element_size() > KEPT_BYTES:
        return None
    try:
        values: NDArray[Any] = tensor.detach().cpu().numpy()
    except TypeError:  # such as bf16
        return None
    return values
