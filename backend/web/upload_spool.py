"""Files of one large request, all in one unnamed file on disk: none of them is held in memory."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from pathlib import Path
from typing import IO, Any

from backend.errors import BatchTooLarge, StorageFull

CHUNK_BYTES = 1 << 18


class UploadSpool:
    """Takes the files of a request, one after the other.

    Parameters
    ----------
    folder : Path
        Where the file lies; it has no name and is gone with the process.
    max_files : int
        More raise BatchTooLarge as soon as they begin.
    """

    def __init__(self, folder: Path, max_files: int) -> None:
        self._folder = folder
        self._max_files = max_files
        self._file: IO[bytes] | None = None
        self._parts: list[SpooledPart] = []

    def open_part(self) -> SpooledPart:
        """Begin the next file; the one before must be complete.

        Raises
        ------
        BatchTooLarge, StorageFull
        """
        if len(self._parts) >= self._max_files:
            raise BatchTooLarge(f"More than {self._max_files} files were sent.")
        if self._file is None:
            self._file = _unnamed_file(self._folder)
        start = self._parts[-1].end if self._parts else 0
        part = SpooledPart(self._file.fileno(), start)
        self._parts.append(part)
        return part

    def close(self) -> None:
        """Give the disk space back."""
        if self._file is not None:
            self._file.close()


class SpooledPart(io.RawIOBase):
    """One file within the spool: written once, then read at will.

    Parameters
    ----------
    descriptor : int
        Of the spool's file.
    start : int
        Where this one begins in it, in bytes.
    """

    def __init__(self, descriptor: int, start: int) -> None:
        self._descriptor = descriptor
        self._start = start
        self._position = 0
        self.size = 0

    @property
    def end(self) -> int:
        """Where the next file may begin."""
        return self._start + self.size

    def readable(self) -> bool:
        """Say yes."""
        return True

    def writable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say yes."""
        return True

    def tell(self) -> int:
        """Return where the next read begins."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to where the next read begins."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def write(self, data: Any) -> int:
        """Append; raises StorageFull when the disk is."""
        left = memoryview(data)
        while left:
            try:
                done = os.pwrite(self._descriptor, left[:CHUNK_BYTES], self.end)
            except OSError as error:
                raise StorageFull(f"The upload could not be stored: {error.strerror}") from error
            self.size += done
            left = left[done:]
        return len(data)

    def readinto(self, buffer: Any) -> int:
        """Read on from the position."""
        wanted = min(len(buffer), self.size - self._position)
        if wanted <= 0:
            return 0
        data = os.pread(self._descriptor, wanted, self._start + self._position)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def sha256(self) -> str:
        """Hash the whole file in hexadecimal."""
        self.seek(0)
        digest = hashlib.sha256()
        while chunk := self.read(CHUNK_BYTES):
            digest.update(chunk)
        return digest.hexdigest()


def _unnamed_file(folder: Path) -> IO[bytes]:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return tempfile.TemporaryFile(dir=folder, buffering=0)
    except OSError as error:
        raise StorageFull(f"The upload could not be stored: {error.strerror}") from error
