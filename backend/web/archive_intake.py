"""Pictures in a zip file: judged by its directory, then read one at a time.

Nothing is ever written under a name of theirs. What the directory says is believed only as far as
it does no harm: sizes are counted again while unpacking.
"""

from __future__ import annotations

import io
import re
import stat
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO, BinaryIO, cast

from backend.errors import ArchiveInvalid, BatchTooLarge, ImageCorrupt, UploadTooLarge

MAX_RATIO = 100
RATIO_FREE_BYTES = 100_000
"""A drawing of one colour is small and packs well; that is no bomb yet."""
MAX_DIRECTORY_BYTES = 4 << 20
CHUNK_BYTES = 1 << 18
ENTRIES_PER_ITEM = 3  # folders, and what macOS adds to every file
MORE_ENTRIES = 1000
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_DRIVE = re.compile(r"[A-Za-z]:")
_ARCHIVES = re.compile(r"\.(zip|7z|rar|tar|gz|tgz|bz2|tbz2?|xz|txz|zst|jar|cab|iso)$", re.I)
_CLUTTER = frozenset({".ds_store", "thumbs.db", "desktop.ini"})
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)


@dataclass(frozen=True)
class ArchiveLimits:
    """What an archive may hold.

    Parameters
    ----------
    max_items : int
        Files.
    max_file_bytes : int
        Of one file, unpacked.
    max_total_bytes : int
        Of all files, unpacked.
    """

    max_items: int
    max_file_bytes: int
    max_total_bytes: int


@dataclass(frozen=True)
class ArchiveEntry:
    """One file of an archive. ``name`` is its path there, with '/'; only ever shown."""

    name: str
    _archive: zipfile.ZipFile
    _info: zipfile.ZipInfo
    _max_bytes: int

    def read(self) -> bytes:
        """Unpack it.

        Raises
        ------
        UploadTooLarge
            It is larger than one file may be, whatever the directory says.
        ImageCorrupt
            It is damaged.
        """
        if self._info.file_size > self._max_bytes:
            raise UploadTooLarge(f"{self.name} is larger than {self._max_bytes} bytes.")
        try:
            with self._archive.open(self._info) as file:
                data = b"".join(_chunks(file, self._max_bytes))
        except _BROKEN as error:
            raise ImageCorrupt(f"{self.name} is damaged in the archive.") from error
        if len(data) > self._max_bytes:
            raise UploadTooLarge(f"{self.name} is larger than {self._max_bytes} bytes.")
        return data


def open_archive(file: BinaryIO | io.RawIOBase, limits: ArchiveLimits) -> list[ArchiveEntry]:
    """List the files of an archive, in its order, without what systems add to folders.

    Parameters
    ----------
    file : file
        Readable and seekable; must stay open while entries are read.
    limits : ArchiveLimits
        What it may hold.

    Raises
    ------
    ArchiveInvalid
        Naming the entry that must not be there.
    BatchTooLarge
        It holds too many files.
    """
    try:
        archive = zipfile.ZipFile(cast("BinaryIO", _Bounded(file)))
    except _BROKEN as error:
        raise ArchiveInvalid("This is no zip file, or it is damaged.") from error
    infos = archive.infolist()
    if len(infos) > ENTRIES_PER_ITEM * limits.max_items + MORE_ENTRIES:
        raise BatchTooLarge(f"The archive has {len(infos)} entries.")
    entries = [
        ArchiveEntry(_path(info), archive, info, limits.max_file_bytes)
        for info in infos
        if not _check(info)
    ]
    if not entries:
        raise ArchiveInvalid("The archive holds no files.")
    if len(entries) > limits.max_items:
        raise BatchTooLarge(f"The archive holds {len(entries)} files.")
    _check_names(entries)
    _check_total(infos, limits)
    return entries


class _Bounded:
    """A file of which nobody can read much at once.

    A directory may claim any length; this is what keeps the library from believing it.
    """

    def __init__(self, file: BinaryIO | io.RawIOBase) -> None:
        self._file = file
        self._size = file.seek(0, io.SEEK_END)
        self.seek, self.tell = file.seek, file.tell

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        wanted = self._size - self._file.tell() if size < 0 else size
        if wanted > MAX_DIRECTORY_BYTES:
            raise ArchiveInvalid("The directory of the archive is too large.")
        return self._file.read(wanted) or b""


def _chunks(file: IO[bytes], max_bytes: int) -> Iterator[bytes]:
    """Unpack piece by piece, and no further than a little beyond the limit."""
    found = 0
    while found <= max_bytes and (chunk := file.read(CHUNK_BYTES)):
        found += len(chunk)
        yield chunk


def _path(info: zipfile.ZipInfo) -> str:
    return info.orig_filename.replace("\\", "/")


def _check(info: zipfile.ZipInfo) -> bool:
    """Raise ArchiveInvalid for what must not be there; returns whether to skip the entry."""
    name = _path(info)
    parts = name.split("/")
    mode = info.external_attr >> 16
    wrong = {
        "its name is not one": not name or "\0" in name or len(name) > 1000,
        "it points out of the archive": ".." in parts or name.startswith("/"),
        "it names a drive": _DRIVE.match(name),
        "it is encrypted": info.flag_bits & _ENCRYPTED,
        "it is a link or a device": stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR),
        "it is packed in a way that is not read": info.compress_type not in _METHODS,
        "it unpacks to far more than it is": _is_bomb(info),
    }
    for reason, holds in wrong.items():
        if holds:
            raise ArchiveInvalid(f"{name[:200]!r}: {reason}.")
    if name.endswith("/") or _is_clutter(parts):
        return True
    if _ARCHIVES.search(name):
        raise ArchiveInvalid(f"{name[:200]!r}: it is an archive inside the archive.")
    return False


def _is_bomb(info: zipfile.ZipInfo) -> bool:
    large = info.file_size > RATIO_FREE_BYTES
    return large and info.file_size > MAX_RATIO * max(1, info.compress_size)


def _is_clutter(parts: list[str]) -> bool:
    name = parts[-1].lower()
    return "__MACOSX" in parts or name in _CLUTTER or name.startswith("._")


def _check_names(entries: Iterable[ArchiveEntry]) -> None:
    seen: set[str] = set()
    for entry in entries:
        if entry.name in seen:
            raise ArchiveInvalid(f"{entry.name[:200]!r}: it is there twice.")
        seen.add(entry.name)


def _check_total(infos: Iterable[zipfile.ZipInfo], limits: ArchiveLimits) -> None:
    total = 0
    for info in infos:
        total += info.file_size
        if total > limits.max_total_bytes:
            raise ArchiveInvalid(
                f"{_path(info)[:200]!r}: with it the archive unpacks to more than "
                f"{limits.max_total_bytes} bytes."
            )
