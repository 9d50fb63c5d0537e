"""A file that a pipeline made, and the digest that names what is in it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import IO, Protocol

_CHUNK = 1 << 20


class MadeFile(Protocol):
    """A file a pipeline made."""

    @property
    def name(self) -> str:
        """Its name among the outputs."""

    @property
    def format(self) -> str:
        """glb, stl, …."""

    @property
    def role(self) -> str:
        """What it is for."""

    @property
    def path(self) -> Path:
        """Where it lies now."""


def sha256_of(path: Path) -> str:
    """Hash a file in hexadecimal."""
    with path.open("rb") as file:
        return sha256_of_stream(file)


def sha256_of_stream(file: IO[bytes]) -> str:
    """Hash what is left of an open file in hexadecimal."""
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()
