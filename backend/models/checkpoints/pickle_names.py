"""Which files of weights are pickles, and what the files are called that they are turned into."""

from __future__ import annotations

from pathlib import Path

PICKLE_SUFFIXES = frozenset({".ckpt", ".pth", ".pt", ".bin"})
SAFETENSORS_SUFFIX = ".safetensors"
# Beside a .bin file another model may be published under the name that would be the obvious one.
CONVERTED_BIN_SUFFIX = ".converted.safetensors"


def converted_path(source: Path) -> Path:
    """Return where the tensors of a pickle are written to."""
    suffix = CONVERTED_BIN_SUFFIX if source.suffix == ".bin" else SAFETENSORS_SUFFIX
    return source.with_suffix(suffix)
