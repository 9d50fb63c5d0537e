"""Judges the pictures within a mesh: sizes from the header, then whether they can be decoded."""

from __future__ import annotations

import io
import warnings

from PIL import Image, MpoImagePlugin, TiffImagePlugin, WebPImagePlugin

from backend.errors import MeshCorrupt, MeshTooLarge, UnsupportedExtension
from backend.meshes.reading.mesh_limits import MeshLimits
from backend.meshes.source_mesh import EncodedImage
from backend.units import MB

# Decoders are loaded now: while a mesh is read no file may be opened. What cameras add to a JPEG
# (Exif, a second picture) is read by two more of them.
Image.preinit()
_LOADED = (MpoImagePlugin, TiffImagePlugin)
_KTX2 = b"\xabKTX 20\xbb"
_SMALLER = "Scale its textures down to 4096 pixels a side or fewer."
_MIMES = {"PNG": "image/png", "JPEG": "image/jpeg"}
_FORMATS = ("PNG", "JPEG", WebPImagePlugin.WebPImageFile.format)


class TextureBudget:
    """Pixels and bytes that the textures of one mesh may have together.

    Parameters
    ----------
    limits : MeshLimits
        ``texture_side_px``, ``texture_megapixels`` and ``texture_mb``.
    """

    def __init__(self, limits: MeshLimits) -> None:
        self._side_px = limits.texture_side_px
        self._left_px = limits.texture_megapixels * 1_000_000
        self._most_mb = limits.texture_mb
        self._left_bytes = limits.texture_mb * MB

    def checked(self, data: bytes, name: str) -> EncodedImage:
        """Check a picture; PNG and JPEG are kept as they are, WebP becomes PNG.

        Raises
        ------
        UnsupportedExtension
            It is KTX2.
        MeshCorrupt
            It is none of these, or cannot be decoded.
        MeshTooLarge
            It has too many pixels or bytes, alone or with those before it.
        """
        if data.startswith(_KTX2):
            raise UnsupportedExtension(
                f"{name} is a KTX2 texture.",
                advice="Export it again with textures as PNG or JPEG instead of KTX2.",
            )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Pillow refuses above 179 megapixels, we by size
                with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                    self._take(image.width, image.height, name)
                    image.load()
                    return self._counted(_kept(image, data), name)
        except MeshTooLarge:
            raise
        except MemoryError as error:
            detail = f"{name} takes more memory than is allowed."
            raise MeshTooLarge(detail, advice=_SMALLER) from error
        except Image.DecompressionBombError as error:  # told from the header alone
            raise MeshTooLarge(
                f"{name} has more than {_most_megapixels():,} megapixels, "
                "which is the most that one texture may have.",
                advice=_SMALLER,
            ) from error
        except Exception as error:  # hostile bytes make decoders raise anything
            raise MeshCorrupt(
                f"{name} is no PNG, JPEG or WebP picture, or a damaged one ({len(data):,} bytes)."
            ) from error

    def _take(self, width: int, height: int, name: str) -> None:
        self._left_px -= width * height
        if max(width, height) > self._side_px or self._left_px < 0:
            raise MeshTooLarge(
                f"{name} is {width:,} x {height:,} pixels, "
                "alone or with the other textures too large.",
                advice=_SMALLER,
            )

    def _counted(self, kept: EncodedImage, name: str) -> EncodedImage:
        """Count what will be stored: many pictures may share the same bytes of a small file."""
        self._left_bytes -= len(kept.data)
        if self._left_bytes < 0:
            raise MeshTooLarge(
                f"With {name}, its textures would take more than {self._most_mb:,} MB.",
                advice=_SMALLER,
            )
        return kept


def _most_megapixels() -> int:
    """Pixels from which on Pillow holds a picture for a bomb: twice those it warns of."""
    return 2 * (Image.MAX_IMAGE_PIXELS or 0) // 1_000_000 + 1


def _kept(image: Image.Image, data: bytes) -> EncodedImage:
    mime = _MIMES.get(image.format or "")
    if mime:
        return EncodedImage(data, mime)
    buffer = io.BytesIO()
    image.convert("RGBA").save(buffer, "PNG", compress_level=1)
    return EncodedImage(buffer.getvalue(), "image/png")
