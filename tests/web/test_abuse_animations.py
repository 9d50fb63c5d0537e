"""Row 9 of the abuse table: pictures that move, with very many frames."""

from __future__ import annotations

import io
import struct
import time
import tracemalloc

import pytest
from PIL import Image

from tests.conftest import png_bytes
from tests.web.test_abuse_images import PNG, RGB, chunk

FRAMES = 8_000


def animated_png() -> bytes:
    """An APNG whose header promises 8,000 frames, each of which is there."""
    frame = png_bytes(RGB)
    start = frame.index(b"IDAT") - 4
    size = struct.unpack(">I", frame[start : start + 4])[0]
    pixels = frame[start + 8 : start + 8 + size]
    control = chunk(b"acTL", struct.pack(">II", FRAMES, 0))
    parts, number = [], 1
    first = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, *RGB.size, 0, 0, 1, 30, 0, 0))
    for _ in range(FRAMES - 1):
        parts.append(
            chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, *RGB.size, 0, 0, 1, 30, 0, 0))
        )
        parts.append(chunk(b"fdAT", struct.pack(">I", number + 1) + pixels[:1]))
        number += 2
    head, tail = frame[:33], frame[33:]
    end = chunk(b"IEND", b"")
    return head + control + first + tail[: -len(end)] + b"".join(parts) + end


def animated_webp() -> bytes:
    buffer = io.BytesIO()
    frames = [Image.new("RGB", (64, 64), (i % 256, i // 256, 9)) for i in range(500)]
    frames[0].paste((255, 255, 255), (8, 8, 40, 40))
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:], method=0)
    return buffer.getvalue()


@pytest.mark.parametrize("make", [animated_png, animated_webp])
def test_row_9_only_the_first_frame_is_read(server, make):
    data = make()
    tracemalloc.start()
    started_s = time.perf_counter()
    job = server.submit(data)
    elapsed_s = time.perf_counter() - started_s
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert elapsed_s < 5
    assert peak_bytes < 50_000_000
    path = server.service.artefacts.input_path(job["id"], "image.png")
    with Image.open(path) as stored:
        assert getattr(stored, "n_frames", 1) == 1


def test_row_9_a_gif_of_any_length_is_refused(server):
    buffer = io.BytesIO()
    frames = [Image.new("P", (64, 64), i % 256) for i in range(1000)]
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    answer = server.post(buffer.getvalue())
    assert (answer.status_code, answer.json["code"]) == (415, "unsupported-image")
    assert server.post(PNG).status_code == 202
