"""Reads the size of a picture from its first bytes, before anything is decoded.

Also takes a PNG apart: only the chunks that hold the picture are passed on, so that compressed
comments and profiles can do no harm, and missing rows are noticed.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from backend.errors import ImageCorrupt, UnsupportedImage

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_PROFILE_BYTES = 1 << 20
MAX_EXIF_BYTES = 1 << 16
MAX_CHUNKS = 100_000
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
          (0, 1, 1, 2))  # fmt: skip
_JPEG_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xDA)})
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


@dataclass(frozen=True)
class ImageHeader:
    """Format ('PNG', 'JPEG', 'WEBP') and size in pixels."""

    format: str
    width: int
    height: int


def read_header(data: bytes) -> ImageHeader:
    """Read format and size.

    Raises
    ------
    UnsupportedImage
        It is none of the three formats, whatever its name says.
    ImageCorrupt
        It begins like one of them and does not go on like it.
    """
    readers = {"PNG": _png_size, "JPEG": _jpeg_size, "WEBP": _webp_size}
    name = _sniff(data)
    if name is None:
        raise UnsupportedImage("The content is not PNG, JPEG or WebP.")
    try:
        width, height = readers[name](data)
    except (struct.error, IndexError) as error:
        raise ImageCorrupt("The header of the picture is cut off.") from error
    if width < 1 or height < 1:
        raise ImageCorrupt("The picture has no pixels.")
    return ImageHeader(name, width, height)


def _sniff(data: bytes) -> str | None:
    if data.startswith(PNG_SIGNATURE):
        return "PNG"
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    return None


def _png_size(data: bytes) -> tuple[int, int]:
    if data[12:16] != b"IHDR":
        raise ImageCorrupt("The PNG does not begin with its header.")
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _jpeg_size(data: bytes) -> tuple[int, int]:
    position = 2
    while True:
        if data[position] != 0xFF:
            raise ImageCorrupt("The JPEG is damaged before its picture begins.")
        while data[position] == 0xFF:
            position += 1
        marker = data[position]
        position += 1
        if marker in _JPEG_WITHOUT_LENGTH:
            if marker in (0xD8, 0xD9):
                raise ImageCorrupt("The JPEG holds no picture.")
            continue
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, position + 3)
            return width, height
        position += max(2, struct.unpack_from(">H", data, position)[0])


def _webp_size(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X":
        return _uint24(data, 24) + 1, _uint24(data, 27) + 1
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise ImageCorrupt("The WebP file holds no picture.")


def _uint24(data: bytes, position: int) -> int:
    return data[position] | data[position + 1] << 8 | data[position + 2] << 16


@dataclass(frozen=True)
class CleanPng:
    """A PNG with nothing in it but its picture, and the colour profile it came with."""

    data: bytes
    profile: bytes | None


def clean_png(data: bytes) -> CleanPng:
    """Keep the picture's chunks of a PNG and check that all rows are there.

    Later frames of an animation are dropped.

    Raises
    ------
    ImageCorrupt
        A chunk is cut off, or rows are missing.
    """
    kept = [PNG_SIGNATURE]
    rows = _RowCounter(data)
    profile = None
    for kind, start, length in _chunks(data):
        body = memoryview(data)[start : start + length]
        if kind == b"IDAT":
            rows.feed(body)
        elif kind == b"iCCP":
            profile = _profile(bytes(body))
        if kind in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND") or (
            kind == b"eXIf" and length <= MAX_EXIF_BYTES
        ):
            kept.append(data[start - 8 : start + length + 4])
    rows.finish()
    return CleanPng(b"".join(kept), profile)


def _chunks(data: bytes) -> list[tuple[bytes, int, int]]:
    found: list[tuple[bytes, int, int]] = []
    position = len(PNG_SIGNATURE)
    while len(found) < MAX_CHUNKS:
        try:
            length, kind = struct.unpack_from(">I4s", data, position)
        except struct.error as error:
            raise ImageCorrupt("The PNG is cut off.") from error
        if position + 12 + length > len(data):
            raise ImageCorrupt("The PNG is cut off.")
        found.append((kind, position + 8, length))
        if kind == b"IEND":
            return found
        position += 12 + length
    raise ImageCorrupt("The PNG has too many parts.")


def _profile(body: bytes) -> bytes | None:
    """Unpack a colour profile; None when it is damaged or grows beyond a megabyte."""
    _, _, packed = body.partition(b"\0")
    unpacker = zlib.decompressobj()
    try:
        profile = unpacker.decompress(packed[1:], MAX_PROFILE_BYTES)
    except zlib.error:
        return None
    return profile if unpacker.eof else None


class _RowCounter:
    """Unpacks the picture data without keeping it and counts its bytes."""

    def __init__(self, data: bytes) -> None:
        self._missing = _raw_bytes(data)
        self._unpacker = zlib.decompressobj()

    def feed(self, body: memoryview) -> None:
        try:
            piece = self._unpacker.decompress(body, 1 << 20)
            self._missing -= len(piece)
            while self._unpacker.unconsumed_tail and self._missing > 0:
                piece = self._unpacker.decompress(self._unpacker.unconsumed_tail, 1 << 20)
                self._missing -= len(piece)
        except zlib.error as error:
            raise ImageCorrupt("The picture data of the PNG is damaged.") from error

    def finish(self) -> None:
        if self._missing > 0:
            raise ImageCorrupt("Rows are missing at the end of the PNG.")


def _raw_bytes(data: bytes) -> int:
    """Bytes of all rows with their filter byte, before compression."""
    width, height, depth, colour, _, _, interlaced = struct.unpack_from(">IIBBBBB", data, 16)
    if colour not in _CHANNELS or depth not in (1, 2, 4, 8, 16):
        raise ImageCorrupt("The PNG has an unknown colour type.")
    bits = _CHANNELS[colour] * depth
    if not interlaced:
        return int(height * (1 + (width * bits + 7) // 8))
    total = 0
    for x, y, step_x, step_y in _ADAM7:
        columns = max(0, -(-(width - x) // step_x))
        rows = max(0, -(-(height - y) // step_y))
        if columns:
            total += rows * (1 + (columns * bits + 7) // 8)
    return total
