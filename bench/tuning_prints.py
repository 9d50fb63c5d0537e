"""More objects to tune on: prints and panels in front of a plain back, and spots all around."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import trimesh
from numpy.typing import NDArray

from bench.painted_objects import (
    PaintedObject,
    Values,
    ball,
    block,
    painted,
    rows,
    tube,
    turned_body,
)

Bodies = NDArray[np.int64]
SPOTS = 60
GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))


def tuning_prints() -> Iterator[PaintedObject]:
    """Make objects whose front says more, or no more, than their back shows."""
    yield painted("shirt", _shirt(), _shirt_colours)
    yield painted("oven", _oven(), _oven_colours).turned(15)
    yield painted("egg", [ball(0.4, (0, 0.5, 0), (1, 1.3, 1))], _egg_colours)
    yield painted("sack", _sack(), _sack_colours).turned(10)
    yield painted("teapot", _teapot(), _teapot_colours).turned(30)


def _spots(points: Values, middle: Values, width: float) -> NDArray[np.bool_]:
    """Say which places lie on evenly spread spots of a ball, ``width`` in radians."""
    number = np.arange(SPOTS) + 0.5
    height = 1 - 2 * number / SPOTS
    across, angle = np.sqrt(1 - height**2), GOLDEN_ANGLE * number
    ways = np.stack([across * np.cos(angle), height, across * np.sin(angle)])
    away = points - middle
    away /= np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-9)
    return np.asarray((away @ ways).max(axis=1) > np.cos(width))


def _shirt() -> list[trimesh.Trimesh]:
    parts = [ball(0.4, (0, 0.6, 0), (0.9, 1.4, 0.5))]
    sleeves = [tube(0.11, (side * 0.25, 0.95, 0), (side * 0.6, 0.7, 0)) for side in (-1, 1)]
    return parts + sleeves


def _shirt_colours(p: Values, body: Bodies) -> Values:
    c = rows(len(p), (60, 95, 150))
    x, y, z = p.T
    front = (body == 0) & (z > 0.05)
    c[front & (np.abs(x) < 0.17) & (np.abs(y - 0.65) < 0.2)] = (235, 225, 70)
    c[front & (np.hypot(x, y - 0.65) < 0.11)] = (200, 50, 60)
    c[front & (np.abs(x) < 0.015) & (y > 0.85)] = (240, 240, 240)
    c[(body > 0) & (np.abs(x) > 0.52)] = (240, 240, 240)
    c[(body == 0) & (y < 0.12)] = (240, 240, 240)
    return c


def _oven() -> list[trimesh.Trimesh]:
    return [block((0.8, 0.9, 0.7), (0, 0.45, 0)), tube(0.02, (-0.3, 0.6, 0.4), (0.3, 0.6, 0.4))]


def _oven_colours(p: Values, body: Bodies) -> Values:
    c = rows(len(p), (225, 225, 220))
    x, y, z = p.T
    front = (body == 0) & (z > 0.349)
    c[front & (np.abs(x) < 0.33) & (np.abs(y - 0.33) < 0.2)] = (35, 35, 40)
    c[front & (np.abs(y - 0.78) < 0.09)] = (70, 72, 78)
    c[front & (np.hypot((x + 0.4) % 0.2 - 0.1, y - 0.78) < 0.05)] = (190, 60, 50)
    c[(body == 0) & (y > 0.899)] = (40, 40, 42)
    c[(body == 0) & (y < 0.06)] = (60, 60, 62)
    c[body == 1] = (150, 150, 155)
    return c


def _egg_colours(p: Values, body: Bodies) -> Values:
    c = rows(len(p), (215, 195, 160))
    c[_spots(p, np.array([0, 0.5, 0]), 0.16)] = (110, 75, 50)
    c[p[:, 1] < 0.12] = (90, 150, 120)
    return np.asarray(c + body[:, None] * 0)


def _sack() -> list[trimesh.Trimesh]:
    parts = [ball(0.4, (0, 0.5, 0), (1, 1.2, 0.65)), ball(0.2, (0, 0.38, 0.2), (1.2, 1, 0.7))]
    parts.append(block((0.5, 0.12, 0.34), (0, 0.92, 0)))
    straps = [tube(0.04, (side * 0.2, 0.2, -0.27), (side * 0.2, 0.8, -0.25)) for side in (-1, 1)]
    return parts + straps


def _sack_colours(p: Values, body: Bodies) -> Values:
    c = rows(len(p), (90, 110, 70))
    x, y, _ = p.T
    c[body == 1] = (200, 130, 50)
    c[(body == 1) & (np.abs(y - 0.45) < 0.02)] = (230, 230, 225)
    c[body == 2] = (200, 130, 50)
    c[(body == 0) & (y < 0.14)] = (70, 50, 40)
    c[body > 2] = (45, 42, 40)
    c[(body == 0) & (p[:, 2] > 0.1) & (np.hypot(x, y - 0.72) < 0.05)] = (230, 230, 225)
    return c


POT = [(0.0, 0.0), (0.22, 0), (0.4, 0.2), (0.42, 0.35), (0.3, 0.55), (0.12, 0.62), (0, 0.63)]


def _teapot() -> list[trimesh.Trimesh]:
    handle = trimesh.creation.torus(0.17, 0.035, 32, 16)
    handle.apply_translation((-0.45, 0.35, 0))
    return [turned_body(POT), handle, tube(0.06, (0.35, 0.3, 0), (0.65, 0.55, 0)),
            ball(0.06, (0, 0.68, 0))]  # fmt: skip


def _teapot_colours(p: Values, body: Bodies) -> Values:
    c = rows(len(p), (235, 230, 225))
    y = p[:, 1]
    c[(body == 0) & _spots(p, np.array([0, 0.3, 0]), 0.17)] = (60, 90, 170)
    c[(body == 0) & (y < 0.05)] = (60, 90, 170)
    c[body == 3] = (200, 60, 60)
    return c
