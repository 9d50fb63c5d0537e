"""Turns what was uploaded into the picture we keep: upright, sRGB, no metadata.

A JPEG stays one, everything else becomes an RGBA PNG.

The original bytes are never stored and never served. Limits are checked from the header, before
anything is decoded. As many pictures are decoded at a time as there are cores, but no more than
two of the largest that are allowed.
"""

from __future__ import annotations

import io
import re
import unicodedata
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageCms

from backend.errors import EmptyFile, ImageCorrupt, ImageTooLarge, ImageTooSmall
from backend.jobs.core_count import core_count
from backend.settings import Settings
from backend.web.decode_room import DecodeRoom
from backend.web.image_headers import ImageHeader, clean_png, read_header

MAX_NAME = 120
FALLBACK_NAME = "picture"
JPEG_SIGNATURE = b"\xff\xd8"
JPEG_QUALITY = 95
MIN_PROFILE_BYTES = 128
SAMPLE_PX = 32
_PROFILE_SPACES = {"RGB": b"RGB ", "RGBA": b"RGB ", "CMYK": b"CMYK", "L": b"GRAY"}
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION = 0x0112
decode_room = DecodeRoom(pictures=max(2, core_count()), pixels=72_000_000)


@dataclass(frozen=True)
class NormalisedImage:
    """The picture as kept: ``data`` under the name ``file_name``."""

    data: bytes
    file_name: str
    width: int
    height: int
    display_name: str
    is_uniform: bool
    """Whether every pixel is the same, or none can be seen: there is no object in it."""


def normalise_image(data: bytes, filename: str | None, settings: Settings) -> NormalisedImage:
    """Read an upload as a picture.

    Parameters
    ----------
    data : bytes
        PNG, JPEG or WebP; of an animation the first frame counts.
    filename : str or None
        What the client calls it; only ever shown.
    settings : Settings
        The limits.

    Raises
    ------
    EmptyFile, UnsupportedImage, ImageTooLarge, ImageTooSmall, ImageCorrupt
    """
    header = _checked_header(data, settings)
    with decode_room.taken(header.width * header.height):
        image = _decode(data, header, settings)
        lossy = data.startswith(JPEG_SIGNATURE)
        image = _bare(_downscaled(_in_mode(image, "RGB" if lossy else "RGBA"), settings))
        stored = (_jpeg(image), "image.jpg") if lossy else (_png(image), "image.png")
        return NormalisedImage(*stored, *image.size, display_name(filename), _is_uniform(image))


def normalise_mask(data: bytes, size: tuple[int, int], settings: Settings) -> bytes:
    """Read an upload as a mask: 8-bit grey PNG, white where the object is.

    Transparent pixels count as black. ``size`` is that of the picture it belongs to.

    Raises
    ------
    ImageTooSmall
        Its sides have another ratio than the picture's.
    EmptyFile, UnsupportedImage, ImageTooLarge, ImageCorrupt
    """
    header = _checked_header(data, settings)
    with decode_room.taken(header.width * header.height):
        image = _decode(data, header, settings).convert("RGBA")
        width, height = image.size
        if abs(width / height - size[0] / size[1]) > 0.03 * size[0] / size[1]:
            raise ImageTooSmall(
                f"The mask is {width} x {height} pixels, the picture {size[0]} x {size[1]}.",
                advice="Send a mask whose sides have the same ratio as the picture's.",
            )
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        grey = Image.alpha_composite(black, image).convert("L")
        return _png(_bare(_downscaled(grey, settings)))


def display_name(filename: str | None) -> str:
    r"""Make a file name fit to be shown: no folders, no control or direction marks, <= 120.

    >>> display_name("../../etc/x.png"), display_name("a\r\nb\u202egnp.jpg"), display_name(None)
    ('x.png', 'abgnp.jpg', 'picture')
    """
    base = re.split(r"[/\\]", filename or "")[-1]
    return clean_text(base, MAX_NAME) or FALLBACK_NAME


def clean_text(text: str, limit: int) -> str:
    """Drop control, format and unassigned characters and cut to ``limit``, keeping the ending."""
    normal = unicodedata.normalize("NFC", text[:8192])
    kept = (char for char in normal if unicodedata.category(char)[0] != "C")
    cleaned = " ".join("".join(kept).split()).strip(". ")
    if len(cleaned) <= limit:
        return cleaned
    stem, dot, ending = cleaned.rpartition(".")
    if not dot or len(ending) > 10:
        return cleaned[:limit].rstrip()
    return f"{stem[: limit - len(ending) - 2].rstrip()}….{ending}"


def _checked_header(data: bytes, settings: Settings) -> ImageHeader:
    if not data:
        raise EmptyFile
    header = read_header(data)
    _check_size(header, settings)
    return header


def _decode(data: bytes, header: ImageHeader, settings: Settings) -> Image.Image:
    """Decode the first frame, upright and in sRGB, in whatever mode it has."""
    profile: bytes | None = None
    try:
        if header.format == "PNG":
            clean = clean_png(data)
            data, profile = clean.data, clean.profile
        with Image.open(io.BytesIO(data), formats=[header.format]) as image:
            _check_same_size(image, header)
            profile = profile or image.info.get("icc_profile")
            orientation = image.getexif().get(_ORIENTATION)
            _draft(image, settings.stored_image_side_px)
            image.load()
            pixels = _eight_bits(image)
    except ImageCorrupt:
        raise
    except Exception as error:  # hostile bytes make decoders raise anything
        raise ImageCorrupt(f"The {header.format} data cannot be decoded.") from error
    return _upright(_in_srgb(pixels, profile), orientation)


def _check_size(header: ImageHeader, settings: Settings) -> None:
    width, height = header.width, header.height
    pixels = width * height
    shown = f"The picture is {width} x {height} pixels."
    longest, shortest = max(width, height), min(width, height)
    if longest > settings.max_image_side_px or pixels > settings.max_image_megapixels * 1e6:
        raise ImageTooLarge(shown)
    if shortest < settings.min_image_side_px:
        raise ImageTooSmall(shown)
    if longest / shortest > settings.max_image_aspect:
        raise ImageTooSmall(f"{shown} That is a strip (its aspect is {longest / shortest:.1f}).")


def _check_same_size(image: Image.Image, header: ImageHeader) -> None:
    if image.size != (header.width, header.height):
        raise ImageCorrupt("The picture gives two different sizes.")


def _draft(image: Image.Image, side_px: int) -> None:
    """Let the JPEG decoder skip detail that would be thrown away; never below ``side_px``."""
    scale = side_px / max(image.size)
    if image.format == "JPEG" and scale < 0.5:
        image.draft(None, (round(image.width * scale), round(image.height * scale)))


def _eight_bits(image: Image.Image) -> Image.Image:
    """Bring 16-bit grey down to 8 bits; a plain convert would clip it."""
    if image.mode.startswith("I") or image.mode == "F":
        return image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    if image.mode == "P" or "transparency" in image.info:
        return image.convert("RGBA")
    return image


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert with the embedded profile if it is a sane one for these pixels."""
    if not profile or not _is_sane(profile, image.mode):
        return image
    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    flat: Any = image.convert("RGB") if alpha else image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(
            flat, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image
    if converted is None:
        return image
    if alpha:
        converted.putalpha(alpha)
    return converted


def _is_sane(profile: bytes, mode: str) -> bool:
    size = int.from_bytes(profile[:4], "big")
    return (
        MIN_PROFILE_BYTES < size == len(profile)
        and profile[36:40] == b"acsp"
        and profile[16:20] == _PROFILE_SPACES.get(mode)
        and b"s\0R\0G\0B" not in profile
        and b"sRGB" not in profile
    )


def _upright(image: Image.Image, orientation: Any) -> Image.Image:
    """Turn by the EXIF orientation, 1 to 8; anything else is ignored."""
    turn = _TURNS.get(orientation) if isinstance(orientation, int) else None
    return image if turn is None else image.transpose(turn)


def _downscaled(image: Image.Image, settings: Settings) -> Image.Image:
    scale = settings.stored_image_side_px / max(image.size)
    if scale >= 1:
        return image
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    """Convert only what has another mode: a copy of a photo costs as much as a part of its work."""
    return image if image.mode == mode else image.convert(mode)


def _bare(image: Image.Image) -> Image.Image:
    """Drop all metadata, which would be written too."""
    image.info = {}
    image.getexif().clear()
    return image


def _is_uniform(image: Image.Image) -> bool:
    """Tell whether there is nothing to see; most pictures show it in a few of their pixels."""
    few = image.resize((SAMPLE_PX, SAMPLE_PX), Image.Resampling.NEAREST)
    return _has_one_colour(few) and _has_one_colour(image)


def _has_one_colour(image: Image.Image) -> bool:
    extremes: Any = image.getextrema()
    if image.mode == "RGBA" and extremes[-1] == (0, 0):
        return True
    return all(lowest == highest for lowest, highest in extremes)


def _jpeg(image: Image.Image) -> bytes:
    """Encode so well that nobody sees it; twenty times faster than PNG."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return buffer.getvalue()


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
