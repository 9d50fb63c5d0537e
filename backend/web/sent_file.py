"""A file of a request that is judged later, in a process of its own."""

from __future__ import annotations

import hashlib
import io
import shutil
from dataclasses import dataclass
from typing import IO, Self

COPY_BYTES = 1 << 20


@dataclass(frozen=True)
class SentFile:
    """A file as sent, not yet judged.

    Parameters
    ----------
    filename : str or None
        What the client calls it; only ever shown.
    stream : file
        Its bytes; can be read again after a seek.
    """

    filename: str | None
    stream: IO[bytes]

    @classmethod
    def of_bytes(cls, filename: str | None, data: bytes) -> Self:
        """Take bytes that are in memory already."""
        return cls(filename, io.BytesIO(data))

    def sha256(self) -> bytes:
        """Hash all of it."""
        digest = hashlib.sha256()
        self.stream.seek(0)
        while chunk := self.stream.read(COPY_BYTES):
            digest.update(chunk)
        return digest.digest()

    def copy_to(self, target: IO[bytes]) -> int:
        """Copy all of it to the end of a file, and return how large that is in bytes."""
        self.stream.seek(0)
        shutil.copyfileobj(self.stream, target, COPY_BYTES)
        target.flush()
        return target.tell()
