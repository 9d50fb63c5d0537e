"""The picture that auto-tune works on when nobody gives one: drawn here, the same every time."""

from __future__ import annotations

import io

from PIL import Image, ImageDraw

SIDE_PX = 512


def drawn_picture() -> bytes:
    """Draw a jug on a transparent ground; returns an RGBA PNG, 512 pixels a side."""
    image = Image.new("RGBA", (SIDE_PX, SIDE_PX), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    draw.ellipse((330, 190, 450, 340), outline=(150, 62, 40, 255), width=26)
    draw.ellipse((120, 150, 380, 430), fill=(196, 92, 56, 255))
    draw.rectangle((190, 80, 310, 200), fill=(196, 92, 56, 255))
    draw.rounded_rectangle((172, 64, 328, 100), 18, fill=(150, 62, 40, 255))
    draw.rounded_rectangle((170, 408, 330, 446), 12, fill=(150, 62, 40, 255))
    for row, shade in enumerate((230, 214, 198)):
        top = 230 + 44 * row
        draw.rectangle((134, top, 366, top + 14), fill=(shade, 190, 120, 255))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
