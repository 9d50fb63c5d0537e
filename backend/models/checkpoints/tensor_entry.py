"""What is known of a tensor before it is read."""

from __future__ import annotations

from dataclasses import dataclass

# The types of numbers that weights may have.
LOADABLE_DTYPES = frozenset({"F32", "F16", "BF16"})


@dataclass(frozen=True)
class TensorEntry:
    """A tensor in a file.

    Parameters
    ----------
    shape : tuple of int
    dtype : str
        As safetensors names it: ``F16``, ``BF16``, ``F32`` and so on.
    """

    shape: tuple[int, ...]
    dtype: str
