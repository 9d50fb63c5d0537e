"""Shared by all tests: pictures drawn here, so that no file is needed."""

from __future__ import annotations

import gc
import io
import itertools
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tests import made_once

os.environ.pop("REDIS_URL", None)
os.environ.pop("DATABASE_URL", None)

made_once.install()

# Each change of a database waits until a disk has it; memory has it at once.
MEMORY = Path("/dev/shm")
ROOM_BYTES = 4_000_000_000
if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM_BYTES:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))

tests_begun = itertools.count(1)

LONGEST_FILES = (
    "test_advice_end_to_end.py",
    "test_tune.py",
    "test_worker.py",
    "test_two_hosts.py",
    "test_chaos.py",
    "test_abuse_slow_clients.py",
    "test_two_servers_one_gpu.py",
    "test_gpu_commands.py",
    "test_advice_of_models.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that none of them runs alone at the end."""
    places = {name: place for place, name in enumerate(LONGEST_FILES)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


def pytest_collection_finish() -> None:
    """Spare the garbage collector the 800 000 objects of the modules and the tests themselves.

    A full collection takes half a second with them, and what halves batches collects at each
    failure, so that no tensor of the failed call stays alive.
    """
    gc.collect()
    gc.freeze()


def pytest_runtest_logstart() -> None:
    """Spare it what tests have imported since as well: compiling alone brings 400 000 objects."""
    if next(tests_begun) % 150 == 0:
        gc.collect()
        gc.freeze()


def png_bytes(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def draw_figure(size: int = 256, *, transparent: bool = True) -> Image.Image:
    """A doll: head, body, two arms, two legs, on nothing or on white."""
    background = (0, 0, 0, 0) if transparent else (255, 255, 255, 255)
    image = Image.new("RGBA", (size, size), background)
    draw = ImageDraw.Draw(image)
    s = size / 256
    draw.ellipse([s * v for v in (96, 20, 160, 84)], fill=(230, 180, 140, 255))
    draw.rounded_rectangle([s * v for v in (88, 80, 168, 170)], 20 * s, fill=(40, 90, 200, 255))
    draw.rectangle([s * v for v in (52, 92, 90, 112)], fill=(230, 180, 140, 255))
    draw.rectangle([s * v for v in (166, 92, 204, 112)], fill=(230, 180, 140, 255))
    draw.rectangle([s * v for v in (96, 165, 120, 236)], fill=(60, 60, 70, 255))
    draw.rectangle([s * v for v in (136, 165, 160, 236)], fill=(60, 60, 70, 255))
    return image


@pytest.fixture(scope="session")
def figure_png() -> bytes:
    return png_bytes(draw_figure())


@pytest.fixture(scope="session")
def opaque_figure_png() -> bytes:
    return png_bytes(draw_figure(transparent=False))


@pytest.fixture(scope="session")
def noise_png() -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (128, 128, 3), dtype=np.uint8)
    return png_bytes(Image.fromarray(pixels))
