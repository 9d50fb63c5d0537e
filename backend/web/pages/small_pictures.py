"""The picture of a job as a thumbnail, made when somebody looks at it.

Nothing is made at submit and nothing is stored: a browser keeps what it was sent.
"""

from __future__ import annotations

import io

from flask import Blueprint, Response, request
from PIL import Image

from backend.web.pages.service import job_service
from backend.web.pages.source import source_picture
from backend.web.uploads import decode_room

SIDE_PX = 256
KEPT_S = 3600
QUALITY = 80


def install(blueprint: Blueprint) -> None:
    """Add the route."""
    blueprint.add_url_rule("/jobs/<job_id>/picture/small", view_func=small_picture)


def small_picture(job_id: str) -> Response:
    """Send the picture a job was made from, at most 256 pixels a side."""
    job = job_service().store.get(job_id)
    response = Response(mimetype="image/webp")
    response.headers["Cache-Control"] = f"private, max-age={KEPT_S}"
    response.set_etag(f"{job.id}-{SIDE_PX}")  # the picture of a job never changes
    if request.if_none_match.contains(response.get_etag()[0] or ""):
        response.status_code = 304
    else:
        response.set_data(shrunk(source_picture(job)))
    return response


def shrunk(data: bytes) -> bytes:
    """Scale a picture that we stored to at most 256 pixels a side; returns WebP."""
    buffer = io.BytesIO()
    with (
        Image.open(io.BytesIO(data), formats=["PNG", "JPEG"]) as image,
        decode_room.taken(image.width * image.height),
    ):
        image.thumbnail((SIDE_PX, SIDE_PX), reducing_gap=2.0)
        image.save(buffer, "WEBP", quality=QUALITY, method=2)
    return buffer.getvalue()
