"""Writes a file that is there as a whole or not at all, even after a power cut."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TEMPORARY_SUFFIX = ".part"


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give the path of a file to write, which takes the place of ``path`` at the end.

    It lies in a temporary folder beside ``path``. When the block raises, the folder is removed
    and ``path`` is as it was. What a killed process left behind is removed by the next that
    writes the same file.

    Raises
    ------
    OSError
        The folder cannot be written, or the disk is full.
    """
    _remove_abandoned(path)
    folder = Path(
        tempfile.mkdtemp(prefix=f".{path.name}.", suffix=TEMPORARY_SUFFIX, dir=path.parent)
    )
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # tells others that somebody writes here
        temporary = folder / path.name
        yield temporary
        _settle(temporary)
        temporary.replace(path)
        _settle(path.parent)
    finally:
        os.close(descriptor)
        shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned(path: Path) -> None:
    """Remove temporary folders in which no process writes any more."""
    for left in path.parent.glob(f".{path.name}.*{TEMPORARY_SUFFIX}"):
        with suppress(OSError):
            descriptor = os.open(left, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left)
            finally:
                os.close(descriptor)


def _settle(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
