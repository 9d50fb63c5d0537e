"""Hard pictures, drawn here: each is a picture and the outline a person would mark."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from tests.conftest import draw_figure
from tests.meshes.solids import ragged_disc_mask

SIDE = 256
Drawing = tuple[Image.Image, np.ndarray]
DRAWINGS: dict[str, Callable[[], Drawing]] = {}


def drawing(make: Callable[[], Drawing]) -> Callable[[], Drawing]:
    DRAWINGS[make.__name__] = make
    return make


def opaque_part(image: Image.Image, least: int = 128) -> np.ndarray:
    return np.asarray(image)[..., 3] >= least


def on(background: Image.Image, figure: Image.Image | None = None) -> Drawing:
    figure = figure or draw_figure(SIDE)
    merged = background.convert("RGBA").resize(figure.size)
    merged.alpha_composite(figure)
    return merged, opaque_part(figure)


def plain(*colour: int) -> Image.Image:
    return Image.new("RGBA", (SIDE, SIDE), (*colour, 255))


def nothing(width: int = SIDE, height: int = SIDE) -> Image.Image:
    return Image.new("RGBA", (width, height), (0, 0, 0, 0))


def tinted(shade: Callable[[np.ndarray], np.ndarray]) -> Image.Image:
    pixels = np.asarray(draw_figure(SIDE)).copy()
    pixels[..., :3] = np.clip(shade(pixels[..., :3].astype(float)), 0, 255).astype(np.uint8)
    return Image.fromarray(pixels)


@drawing
def transparent() -> Drawing:
    figure = draw_figure(SIDE)
    return figure, opaque_part(figure)


@drawing
def on_white() -> Drawing:
    return on(plain(255, 255, 255))


@drawing
def grey_and_noisy() -> Drawing:
    noise = np.random.default_rng(1).normal(128, 5, (SIDE, SIDE, 3))
    return on(Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8)))


@drawing
def gradient_and_shadow() -> Drawing:
    light = np.linspace(245, 190, SIDE)[:, None, None] * np.ones((1, SIDE, 3))
    ground = Image.fromarray(light.astype(np.uint8)).convert("RGBA")
    shadow = nothing()
    ImageDraw.Draw(shadow).ellipse((50, 218, 220, 250), fill=(0, 0, 0, 110))
    ground.alpha_composite(shadow.filter(ImageFilter.GaussianBlur(9)))
    return on(ground)


@drawing
def dark_on_dark() -> Drawing:
    return on(plain(14, 14, 16), tinted(lambda rgb: 26 + rgb * 0.12))


@drawing
def white_on_white() -> Drawing:
    return on(plain(255, 255, 255), tinted(lambda rgb: 236 + rgb * 0.02))


@drawing
def blotted_jpeg() -> Drawing:
    image, outline = on(plain(250, 250, 250))
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=15)
    return Image.open(io.BytesIO(buffer.getvalue())).convert("RGBA"), outline


@drawing
def coloured_frame() -> Drawing:
    image, outline = on(plain(250, 250, 250))
    ImageDraw.Draw(image).rectangle(
        (0, 0, SIDE - 1, SIDE - 1), outline=(30, 40, 150, 255), width=12
    )
    return image, outline


@drawing
def thin_inset_frame() -> Drawing:
    image, outline = on(plain(255, 255, 255))
    ImageDraw.Draw(image).rectangle((6, 6, SIDE - 7, SIDE - 7), outline=(0, 0, 0, 255), width=3)
    return image, outline


@drawing
def letterbox() -> Drawing:
    image, outline = on(plain(235, 235, 235))
    wide = Image.new("RGBA", (SIDE, SIDE + 120), (0, 0, 0, 255))
    wide.paste(image, (0, 60))
    return wide, np.pad(outline, ((60, 60), (0, 0)))


@drawing
def floor_and_wall() -> Drawing:
    ground = plain(200, 215, 235)
    ImageDraw.Draw(ground).rectangle((0, 165, SIDE, SIDE), fill=(150, 110, 80, 255))
    return on(ground)


@drawing
def cluttered() -> Drawing:
    blobs = np.random.default_rng(2).integers(0, 255, (14, 14, 3), dtype=np.uint8)
    return on(Image.fromarray(blobs).resize((SIDE, SIDE), Image.Resampling.BICUBIC))


@drawing
def cut_at_the_bottom() -> Drawing:
    image, outline = nothing(), None
    draw = ImageDraw.Draw(image)
    draw.ellipse((80, 30, 176, 150), fill=(220, 170, 140, 255))
    draw.ellipse((14, 130, 242, 400), fill=(60, 60, 120, 255))
    outline = opaque_part(image)
    return on(plain(255, 255, 255), image)[0], outline


@drawing
def touching_all_sides() -> Drawing:
    image = nothing()
    ImageDraw.Draw(image).ellipse((-22, -22, 277, 277), fill=(60, 140, 60, 255))
    return on(plain(240, 240, 240), image)[0], opaque_part(image)


@drawing
def tiny() -> Drawing:
    image = nothing(512, 512)
    ImageDraw.Draw(image).ellipse((240, 240, 270, 276), fill=(200, 30, 30, 255))
    return image, opaque_part(image)


@drawing
def very_wide() -> Drawing:
    image = nothing(800, 110)
    ImageDraw.Draw(image).rounded_rectangle((15, 30, 780, 80), 20, fill=(30, 90, 50, 255))
    return image, opaque_part(image)


@drawing
def very_tall() -> Drawing:
    image = nothing(100, 700)
    ImageDraw.Draw(image).polygon([(50, 10), (12, 690), (88, 690)], fill=(30, 90, 150, 255))
    return image, opaque_part(image)


@drawing
def many_islands() -> Drawing:
    image, rng = nothing(), np.random.default_rng(4)
    draw = ImageDraw.Draw(image)
    for x, y in rng.integers(10, 220, (25, 2)):
        draw.ellipse((x, y, x + 18, y + 18), fill=(200, int(x), int(y), 255))
    return image, opaque_part(image)


@drawing
def many_holes() -> Drawing:
    image = nothing()
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle((20, 20, 236, 236), 20, fill=(50, 120, 60, 255))
    for x in range(36, 220, 28):
        for y in range(36, 220, 28):
            draw.ellipse((x, y, x + 14, y + 14), fill=(0, 0, 0, 0))
    return image, opaque_part(image)


@drawing
def soft_edges() -> Drawing:
    soft = draw_figure(SIDE).filter(ImageFilter.GaussianBlur(4))
    return soft, opaque_part(soft)


@drawing
def ragged_edges() -> Drawing:
    image = Image.new("RGBA", (SIDE, SIDE), (190, 120, 60, 255))
    outline = ragged_disc_mask(SIDE)
    image.putalpha(Image.fromarray(outline.astype(np.uint8) * 255))
    return image, outline


@drawing
def faint_all_over() -> Drawing:
    pixels = np.asarray(draw_figure(SIDE)).copy()
    pixels[..., 3] = pixels[..., 3] // 3
    image = Image.fromarray(pixels)
    return image, opaque_part(image, 40)


THIN: dict[str, Callable[[], Image.Image]] = {}


def thin(make: Callable[[], Image.Image]) -> Callable[[], Image.Image]:
    THIN[make.__name__] = make
    return make


@thin
def a_line() -> Image.Image:
    image = nothing()
    ImageDraw.Draw(image).line((5, 120, 250, 140), fill=(10, 10, 10, 255), width=2)
    return image


@thin
def wheels() -> Image.Image:
    image = nothing()
    draw = ImageDraw.Draw(image)
    for x in (65, 190):
        draw.ellipse((x - 50, 120, x + 50, 220), outline=(20, 20, 20, 255), width=2)
        for turn in np.linspace(0, np.pi, 7):
            dx, dy = 50 * np.cos(turn), 50 * np.sin(turn)
            draw.line((x - dx, 170 - dy, x + dx, 170 + dy), fill=(90, 90, 90, 255))
    draw.line((65, 170, 110, 100, 170, 100, 190, 170), fill=(200, 0, 0, 255), width=3)
    return image


@thin
def hair() -> Image.Image:
    image, rng = nothing(), np.random.default_rng(5)
    draw = ImageDraw.Draw(image)
    for turn, length in zip(rng.random(90) * 2 * np.pi, rng.integers(60, 120, 90), strict=True):
        end = (128 + length * np.cos(turn), 128 + length * np.sin(turn))
        draw.line((128, 128, *end), fill=(60, 30, 10, 255))
    draw.ellipse((80, 80, 176, 176), fill=(230, 190, 160, 255))
    return image


@thin
def dust() -> Image.Image:
    alpha = (np.random.default_rng(6).random((SIDE, SIDE)) < 0.3).astype(np.uint8) * 255
    return Image.fromarray(np.dstack([np.full((SIDE, SIDE, 3), 99, dtype=np.uint8), alpha]))
