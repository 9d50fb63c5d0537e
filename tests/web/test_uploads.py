from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image, ImageCms

from backend.errors import ImageCorrupt, ImageTooSmall, UnsupportedImage
from backend.settings import Settings
from backend.web.image_headers import read_header
from backend.web.uploads import clean_text, display_name, normalise_image, normalise_mask
from tests.conftest import png_bytes
from tests.web.conftest import encoded

SETTINGS = Settings(data_dir=Path("unused"))
GRADIENT = Image.linear_gradient("L").resize((120, 80)).convert("RGB")


def opened(png: bytes) -> Image.Image:
    with Image.open(io.BytesIO(png)) as image:
        image.load()
        return image


@pytest.mark.parametrize(
    ("kind", "options"),
    [("PNG", {}), ("JPEG", {}), ("JPEG", {"progressive": True}), ("WEBP", {}),
     ("WEBP", {"lossless": True}), ("WEBP", {"save_all": True})],
)  # fmt: skip
def test_header_size_is_the_decoders(kind, options):
    header = read_header(encoded(GRADIENT, kind, **options))
    assert (header.format, header.width, header.height) == (kind, 120, 80)


@pytest.mark.parametrize("cut", range(3, 60, 5))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_any_cut_is_an_error_of_ours(kind, cut):
    with pytest.raises((ImageCorrupt, UnsupportedImage)):
        normalise_image(encoded(GRADIENT, kind)[:cut], None, SETTINGS)


def test_large_pictures_are_stored_smaller():
    for kind, size in (("PNG", (3000, 2000)), ("JPEG", (6000, 4000))):  # JPEG shrinks as it reads
        data = encoded(GRADIENT.resize(size), kind)
        image = normalise_image(data, "big", SETTINGS)
        assert (image.width, image.height) == (2048, 1365)


def test_transparent_pixels_do_not_bleed_when_scaled():
    image = Image.new("RGBA", (4096, 512), (0, 255, 0, 0))
    image.paste((255, 0, 0, 255), (0, 0, 2000, 512))
    small = opened(normalise_image(png_bytes(image), None, SETTINGS).data)
    edge = [small.getpixel((x, 100)) for x in range(990, 1010)]
    assert all(pixel[1] == 0 for pixel in edge if pixel[3] > 0)


def test_colours_are_converted_with_a_sane_profile():
    wide = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = wide.replace(b"rXYZ", b"tXYZ").replace(b"bXYZ", b"rXYZ").replace(b"tXYZ", b"bXYZ")
    swapped = swapped.replace(b"s\0R\0G\0B", b"x\0x\0x\0x").replace(b"sRGB", b"xxxx")
    image = Image.new("RGB", (64, 64), (200, 10, 10))
    image.putpixel((0, 0), (0, 0, 0))
    found = opened(normalise_image(encoded(image, "PNG", icc_profile=swapped), None, SETTINGS).data)
    red, _, blue, _ = found.getpixel((30, 30))
    assert blue > red  # the profile says that its first channel is blue


def test_a_mask_is_grey_and_transparent_is_black():
    image = Image.new("RGBA", (60, 40), (255, 255, 255, 0))
    image.paste((255, 255, 255, 255), (0, 0, 30, 40))
    mask = opened(normalise_mask(png_bytes(image), (120, 80), SETTINGS))
    assert mask.mode == "L"
    assert (mask.getpixel((5, 5)), mask.getpixel((55, 5))) == (255, 0)
    with pytest.raises(ImageTooSmall, match="60 x 40"):
        normalise_mask(png_bytes(image), (80, 120), SETTINGS)


def test_uniform_pictures_are_noticed():
    assert normalise_image(png_bytes(Image.new("L", (64, 64), 9)), None, SETTINGS).is_uniform
    assert not normalise_image(png_bytes(GRADIENT), None, SETTINGS).is_uniform


def test_names():
    assert display_name(None) == display_name("\u202e\u200b") == "picture"
    assert clean_text("  a \t b  ", 9) == "a b"
    assert len(clean_text("x" * 500, 120)) == 120
    assert clean_text("\ud800x", 9) == "x"
