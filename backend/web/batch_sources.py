"""Where the items of a batch come from: files, a zip, JSON lines, or one JSON body.

All sources give the same: items in order, whose pictures are read when it is their turn.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from werkzeug.datastructures import FileStorage

from backend.errors import (
    BatchTooLarge,
    InvalidParameter,
    MalformedRequest,
    MissingFile,
    UploadTooLarge,
)
from backend.settings import Settings
from backend.units import MB
from backend.web.archive_intake import ArchiveEntry, ArchiveLimits, open_archive
from backend.web.request_body import SubmitBody, json_fields, parse_json
from backend.web.upload_spool import SpooledPart
from backend.web.uploads import display_name

LINE_OVERHEAD_BYTES = 64 << 10
_BASE64 = 4 / 3


@dataclass(frozen=True)
class SentItem:
    """One item of a batch as sent.

    Parameters
    ----------
    read : callable
        Returns what a submit of it alone would hold; raises BadInput.
    default_id : str
        Its name where none is given; made unique later.
    custom_id : object
        As sent, not yet judged; None if absent.
    """

    read: Callable[[], SubmitBody]
    default_id: str
    custom_id: object = None


@dataclass(frozen=True)
class SentItems:
    """All items, and a hash of what they were made of."""

    items: list[SentItem]
    sha256: Callable[[], str]


def from_files(files: list[FileStorage], settings: Settings) -> SentItems:
    """Take each file as an item, named as the client calls it; raises BatchTooLarge."""
    if len(files) > settings.max_batch_items:
        raise BatchTooLarge(f"{len(files)} files were sent.")
    limit = settings.max_upload_mb * MB

    def item(file: FileStorage) -> SentItem:
        return SentItem(lambda: _file_body(file, limit), display_name(file.filename))

    return SentItems([item(file) for file in files], lambda: _digest_of(files))


def from_archive(file: FileStorage, settings: Settings) -> SentItems:
    """Take each file of a zip as an item, named by its path; raises ArchiveInvalid."""
    limits = ArchiveLimits(
        settings.max_batch_items, settings.max_upload_mb * MB, settings.max_batch_upload_mb * MB
    )
    part = part_of(file)
    entries = open_archive(part, limits)
    items = [SentItem(_reader(entry), entry.name) for entry in entries]
    return SentItems(items, part.sha256)


def from_lines(
    part: SpooledPart, settings: Settings, files: Sequence[FileStorage] = ()
) -> SentItems:
    """Take each line as an item in JSON.

    Parameters
    ----------
    part : SpooledPart
        The lines.
    settings : Settings
        How many there may be, and how long.
    files : sequence of FileStorage
        Pictures that the lines name as 'file'; each must be named by one.

    Raises
    ------
    BatchTooLarge, UploadTooLarge
        There are too many lines, or one is too long.
    InvalidParameter
        A file is named by no line, or by several.
    """
    pictures = _NamedFiles(files, settings.max_upload_mb * MB)
    longest = int(settings.max_upload_mb * MB * _BASE64) + LINE_OVERHEAD_BYTES
    items: list[SentItem] = []
    for start, line in _lines(part, longest):
        if len(items) >= settings.max_batch_items:
            raise BatchTooLarge(f"There are more than {settings.max_batch_items} lines.")
        items.append(_line_item(part, start, line, len(items), pictures))
    pictures.check_all_named()
    return SentItems(items, lambda: _sha256((part.sha256() + pictures.sha256()).encode()))


def from_objects(objects: object, settings: Settings) -> SentItems:
    """Take each object of a JSON list as an item; raises InvalidParameter, BatchTooLarge."""
    if not isinstance(objects, list):
        raise InvalidParameter("items: must be a list of objects")
    if len(objects) > settings.max_batch_items:
        raise BatchTooLarge(f"There are {len(objects)} items.")
    items = [_object_item(value, position) for position, value in enumerate(objects)]
    return SentItems(items, lambda: _sha256(json.dumps(objects, sort_keys=True).encode()))


def _reader(entry: ArchiveEntry) -> Callable[[], SubmitBody]:
    return lambda: SubmitBody("", files={"file": (entry.name, entry.read())})


def part_of(file: FileStorage) -> SpooledPart:
    """Return the file as it lies in the spool."""
    return cast("SpooledPart", file.stream)


def _file_body(file: FileStorage, limit: int) -> SubmitBody:
    part = part_of(file)
    if part.size > limit:
        raise UploadTooLarge(f"{display_name(file.filename)} is larger than {limit} bytes.")
    part.seek(0)
    return SubmitBody("", files={"file": (file.filename, part.read())})


def _lines(part: SpooledPart, longest: int) -> Iterator[tuple[int, bytes]]:
    """Lines that hold anything, each with where it begins; one at a time in memory."""
    part.seek(0)
    reader = io.BufferedReader(part, 1 << 18)
    start = 0
    while line := reader.readline(longest + 1):
        if len(line) > longest:
            raise UploadTooLarge(f"A line is longer than {longest} bytes.")
        if line.strip():
            yield start, line
        start += len(line)
    reader.detach()


def _line_item(
    part: SpooledPart, start: int, line: bytes, position: int, pictures: _NamedFiles
) -> SentItem:
    size = len(line)

    def read() -> SubmitBody:
        part.seek(start)
        return _object_body(parse_json(part.read(size)), pictures)

    try:
        head = parse_json(line)
    except MalformedRequest:  # told again when the item is read, as its problem
        head = {}
    name = head.get("file")
    if isinstance(name, str):
        pictures.note(name)
    default = display_name(name) if isinstance(name, str) else f"item-{position + 1}"
    return SentItem(read, default, head.get("custom_id"))


def _object_item(value: Any, position: int) -> SentItem:
    custom_id = value.get("custom_id") if isinstance(value, dict) else None
    return SentItem(lambda: _object_body(value), f"item-{position + 1}", custom_id)


def _object_body(value: Any, pictures: _NamedFiles | None = None) -> SubmitBody:
    if not isinstance(value, dict):
        raise MalformedRequest("An item must be a JSON object.")
    fields = {key: held for key, held in value.items() if key != "custom_id"}
    if "pipeline" in fields:
        raise InvalidParameter("pipeline: is given once for the whole batch")
    name = fields.pop("file", None)
    body = json_fields(fields)
    if name is None:
        return body
    if body.image_url or "file" in body.files:
        raise InvalidParameter("file: excludes 'image' and 'image_url'")
    return replace(body, files={**body.files, "file": _named(pictures, name)})


class _NamedFiles:
    """Uploaded files by the name they were sent under."""

    def __init__(self, files: Sequence[FileStorage], limit: int) -> None:
        self._files = {file.filename or "": file for file in files}
        self._limit = limit
        self._noted: set[str] = set()
        if len(self._files) < len(files):
            raise InvalidParameter("file: two files have the same name, so a line cannot tell")

    def note(self, name: str) -> None:
        """Remember that a line names a file."""
        if name in self._noted:
            raise InvalidParameter(f"file: {name[:100]!r} is named by two lines")
        self._noted.add(name)

    def check_all_named(self) -> None:
        """Raise InvalidParameter for a file that no line names."""
        left = [name for name in self._files if name not in self._noted]
        if left:
            raise InvalidParameter(f"file: no line names {left[0][:100]!r}")

    def read(self, name: str) -> tuple[str | None, bytes]:
        """Read a file; raises MissingFile, UploadTooLarge."""
        if name not in self._files:
            raise MissingFile(f"No file {name[:100]!r} was sent.")
        return _file_body(self._files[name], self._limit).files["file"]

    def sha256(self) -> str:
        """Hash names and contents."""
        return _digest_of(list(self._files.values()))


def _named(pictures: _NamedFiles | None, name: object) -> tuple[str | None, bytes]:
    if pictures is None or not isinstance(name, str):
        raise InvalidParameter("file: must name a file that is sent beside the lines")
    return pictures.read(name)


def _digest_of(files: Sequence[FileStorage]) -> str:
    named = [[file.filename or "", part_of(file).sha256()] for file in files]
    return _sha256(json.dumps(named).encode())


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
