"""Objects on which the method of unseen sides is tuned: fronts that differ from backs among them.

Unlike those of ``held_out_objects``, results on these may be looked at while the method changes.
"""

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
SEED = 71


def tuning_objects() -> Iterator[PaintedObject]:
    """Make objects with a print, a belly or a screen in front, bands, and grain."""
    yield painted("penguin", _penguin(), _penguin_colours)
    yield painted("suitcase", _suitcase(), _suitcase_colours).turned(12)
    yield painted("cereal box", [block((0.7, 1.0, 0.25), (0, 0.5, 0))], _cereal_colours).turned(25)
    yield painted("radio", _radio(), _radio_colours).turned(20)
    yield painted("doll", _doll(), _doll_colours)
    yield painted("cat", _cat(), _cat_colours).turned(65)
    yield painted("boat", _boat(), _boat_colours).turned(55)
    yield painted("cactus", _cactus(), _cactus_colours)
    yield painted("jar", [turned_body(JAR)], _jar_colours)
    yield painted("drum", [turned_body(DRUM)], _drum_colours)
    yield painted("beetle", _beetle(), _beetle_colours).turned(40)
    yield painted("knight", _knight(), _knight_colours).turned(10)


def _grain(points: Values, scale: float, strength: float) -> Values:
    """Give an even surface a soft irregular pattern, (n, 1): sums of waves in random directions."""
    rng = np.random.default_rng(SEED)
    ways, phases = rng.normal(size=(6, 3)) * scale, rng.uniform(0, 2 * np.pi, 6)
    return np.asarray(strength * np.sin(points @ ways.T + phases).mean(axis=1)[:, None])


def _penguin() -> list[trimesh.Trimesh]:
    parts = [ball(0.4, (0, 0.55, 0), (0.9, 1.3, 0.8)), ball(0.25, (0, 1.15, 0))]
    for side in (-1, 1):
        parts.append(ball(0.2, (side * 0.4, 0.6, 0), (0.3, 1.5, 0.8)))
        parts.append(ball(0.12, (side * 0.17, 0.06, 0.15), (1, 0.5, 1.5)))
    beak = trimesh.creation.cone(radius=0.07, height=0.2, sections=24)
    beak.apply_translation((0, 1.13, 0.22))
    return [*parts, beak]


def _penguin_colours(p: Values, body: Bodies) -> Values:
    c = rows(len(p), (35, 40, 52)) + _grain(p, 25, 10)
    x, y, z = p.T
    c[(body == 0) & (z > 0.05) & (np.hypot(x / 0.27, (y - 0.5) / 0.42) < 1)] = (240, 238, 230)
    face = (body == 1) & (z > 0.08)
    c[face & (np.hypot(np.abs(x) - 0.08, y - 1.17) < 0.09)] = (240, 238, 230)
    c[face & (np.hypot(np.abs(x) - 0.08, y - 1.2) < 0.03)] = (15, 15, 18)
    c[(body == 3) | (body == 5) | (body == 6)] = (235, 150, 40)
    c[(body < 2) & (np.abs(y - 0.95) < 0.04)] = (190, 40, 50)
    return np.clip(c, 0, 255)


def _suitcase() -> list[trimesh.Trimesh]:
    parts = [block((1.0, 0.75, 0.3), (0, 0.45, 0)), block((0.7, 0.4, 0.1), (0, 0.38, 0.2))]
    handle = trimesh.creation.torus(0.14, 0.03, 32, 16)
    handle.apply_translation((0, 0.85, 0))
    wheels = [tube(0.06, (side * 0.4, 0.06, -0.1), (side * 0.4, 0.06, 0.1)) for side in (-1, 1)]
    return [*parts, handle, *wheels]


def _suitcase_colours(p: Values, body: Bodies) -> Values:
    c = rows(len(p), (130, 40, 55)) + _grain(p, 35, 12)
    x, y, z = p.T
    c[body == 1] = (70, 30, 40)
    c[(body == 1) & (z > 0.24) & (np.hypot(x, y - 0.38) < 0.1)] = (235, 205, 110)
    c[(body == 0) & (np.abs(z) < 0.02)] = (30, 28, 30)
    c[(body == 0) & (np.abs(np.abs(x) - 0.42) < 0.04)] = (95, 65, 40)
    c[(body == 0) & (z < -0.14) & (np.abs(x) < 0.3) & (np.abs(y - 0.5) < 0.1)] = (225, 220, 205)
    c[body > 1] = (30, 28, 30)
    return np.clip(c, 0, 255)


def _cereal_colours(p: Values, body: Bodies) -> Values:
    c = rows(len(p), (230, 180, 45))
    x, y, z = p.T
    c[y > 0.82] = (180, 45, 40)
    front = z > 0.124
    c[front & (np.hypot(x, y - 0.4) < 0.24)] = (245, 240, 225)
    c[front & (np.hypot(x, y - 0.4) < 0.17)] = (150, 95, 50)
    c[front & (np.abs(y - 0.9) < 0.05) & (np.sin(30 * x) > -0.3) & (np.abs(x) < 0.28)] = (
        250,
        245,
        230,
    )
    c[(z < -0.124) & (np.abs(x) < 0.28) & (np.abs(y - 0.42) < 0.3)] = (245, 240, 225)
    lines = (z < -0.124) & (np.abs(x) < 0.25) & (np.abs(y - 0.42) < 0.27) & (np.sin(90 * y) > 0.4)
    c[lines] = (60, 55, 50)
    c[(np.abs(x) > 0.349) & (np.abs(y - 0.4) < 0.2) & (np.abs(z) < 0.09)] = (245, 240, 225)
    return np.clip(c + body[:, None] * 0, 0, 255)


def _radio() -> list[trimesh.Trimesh]:
    return [
        block((1.0, 0.6, 0.3), (0, 0.32, 0)),
        tube(0.05, (0.35, 0.5, 0.12), (0.35, 0.5, 0.2)),
        tube(0.015, (0.42, 0.6, -0.1), (0.6, 1.1, -0.1)),
        block((0.5, 0.05, 0.08), (0, 0.7, 0)),
    ]


def _radio_colours(p: Values, body: Bodies) -> Values:
    c = rows(len(p), (120, 72, 40)) + np.sin(60 * p[:, 1] + 5 * np.sin(4 * p[:, 0]))[:, None] * 8
    x, y, z = p.T
    front = (body == 0) & (z > 0.149)
    c[front & (np.abs(x + 0.15) < 0.29) & (np.abs(y - 0.3) < 0.23)] = (205, 190, 150)
    holes = np.hypot((x * 20) % 1 - 0.5, (y * 20) % 1 - 0.5) < 0.28
    c[front & (np.abs(x + 0.15) < 0.25) & (np.abs(y - 0.3) < 0.19) & holes] = (60, 50, 42)
    c[front & (np.abs(x - 0.32) < 0.12) & (np.abs(y - 0.28) < 0.08)] = (235, 235, 215)
    c[(body == 0) & (z < -0.149) & (np.abs(x) < 0.42) & (np.abs(y - 0.32) < 0.24)] = (50, 48, 46)
    c[(body == 1) | (body == 2)] = (190, 190, 195)
    c[body == 3] = (40, 36, 34)
    return np.asarray(np.clip(c, 0, 255))


def _doll() -> list[trimesh.Trimesh]:
    skirt = [(0, 0.3), (0.4, 0.3), (0.15, 0.9), (0, 0.92)]
    parts = [turned_body(skirt), ball(0.2, (0, 1.0, 0), (1, 1, 0.8)), ball(0.22, (0, 1.4, 0))]
    for side in (-1, 1):
        parts.append(tube(0.06, (side * 0.17, 1.05, 0), (side * 0.38, 0.7, 0.08)))
        parts.append(tube(0.065, (side * 0.12, 0.03, 0), (side * 0.12, 0.35, 0)))
    return [*parts, ball(0.12, (0, 1.5, -0.2), (1, 1.8, 0.8))]


def _doll_colours(p: Values, body: Bodies) -> Values:
    c = rows(len(p), (235, 195, 165))
    x, y, z = p.T
    c[body == 0] = (200, 80, 130)
    c[(body == 0) & (y < 0.37)] = (245, 240, 240)
    dots = np.hypot((np.arctan2(x, z) * 3 % 1) - 0.5, (y * 8 % 1) - 0.5) < 0.22
    c[(body == 0) & (y > 0.4) & dots] = (245, 240, 240)
    c[body == 1] = (245, 240, 240)
    c[(body == 1) & (z > 0.1) & (np.hypot(x, y - 1.02) < 0.06)] = (200, 80, 130)
    head = body == 2
    c[head & ((z < 0.02) | (y > 1.5))] = (150, 85, 35)
    c[head & (z > 0.1) & (np.hypot(np.abs(x) - 0.08, y - 1.42) < 0.028)] = (40, 80, 60)
    c[head & (z > 0.1) & (np.abs(x) < 0.05) & (np.abs(y - 1.31) < 0.012)] = (190, 60, 70)
    c[body == 7] = (150, 85, 35)
    c[((body == 4) | (body == 6)) & (y < 0.1)] = (50, 45, 50)
    return c


def _cat() -> list[trimesh.Trimesh]:
    parts = [ball(0.35, (0, 0.55, 0), (0.7, 0.75, 1.5)), ball(0.22, (0, 0.85, 0.5))]
    parts += [tube(0.05, (0, 0.6, -0.45), (0, 1.0, -0.75)), ball(0.1, (0, 0.8, 0.68))]
    for side in (-1, 1):
        ear = trimesh.creation.cone(radius=0.08, height=0.2, sections=24)
        ear.apply_transform(trimesh.transformations.rotation_matrix(-np.pi / 2, (1, 0, 0)))
        ear.apply_translation((side * 0.12, 0.98, 0.48))
        parts += [ear, tube(0.07, (side * 0.14, 0, 0.32), (side * 0.14, 0.45, 0.32))]
        parts.append(tube(0.07, (side * 0.14, 0, -0.32), (side * 0.14, 0.45, -0.32)))
    return parts


def _cat_colours(p: Values, body: Bodies) -> Values:
    c = rows(len(p), (205, 130, 60)) + _grain(p, 35, 15)
    x, y, z = p.T
    c[(body == 0) & (np.sin(16 * z + 2 * np.sin(9 * y)) > 0.5) & (y > 0.5)] = (150, 80, 35)
    c[(body == 0) & (y < 0.42)] = (240, 230, 215)
    c[body == 3] = (240, 230, 215)
    c[(body == 3) & (z > 0.75) & (y > 0.8)] = (200, 110, 110)
    c[(body == 1) & (z > 0.6) & (np.hypot(np.abs(x) - 0.09, y - 0.92) < 0.035)] = (60, 120, 60)
    c[(body == 2) & (np.sin(35 * y) > 0.2)] = (150, 80, 35)
    c[(body > 3) & (y < 0.1)] = (240, 230, 215)
    return np.clip(c, 0, 255)


def _boat() -> list[trimesh.Trimesh]:
    hull = ball(0.5, (0, 0.3, 0), (0.6, 0.55, 2.0))
    hull.vertices[:, 1] = np.minimum(hull.vertices[:, 1], 0.36)  # a deck
    parts = [hull, block((0.35, 0.3, 0.7), (0, 0.5, -0.1)), tube(0.1, (0, 0.6, 0), (0, 0.95, 0))]
    return [*parts, tube(0.02, (0, 0.35, 0.6), (0, 0.9, 0.6))]


def _boat_colours(p: Values, body: Bodies) -> Values:
    c = rows(len(p), (235, 235, 230))
    x, y, z = p.T
    hull = body == 0
    c[hull] = (40, 60, 110)
    c[hull & (y < 0.17)] = (150, 40, 40)
    c[hull & (np.abs(y - 0.19) < 0.02)] = (235, 235, 230)
    c[hull & (y > 0.355)] = (180, 140, 90)
    c[hull & (np.abs(y - 0.28) < 0.05) & (np.abs(z - 0.3) < 0.25) & (np.sin(50 * z) > 0)] = (
        235,
        235,
        230,
    )
    windows = (np.hypot((z + 0.1) % 0.22 - 0.11, y - 0.52) < 0.06) & (np.abs(x) > 0.17)
    c[(body == 1) & windows] = (70, 110, 140)
    c[body == 2] = (210, 90, 40)
    c[(body == 2) & (y > 0.87)] = (35, 35, 38)
    c[body == 3] = (120, 80, 50)
    return c


def _cactus() -> list[trimesh.Trimesh]:
    pot = [(0, 0), (0.25, 0), (0.33, 0.35), (0.36, 0.35), (0.36, 0.45), (0, 0.45)]
    parts = [turned_body(pot), ball(0.25, (0, 0.9, 0), (1, 2, 1)), ball(0.09, (0.03, 1.42, 0.05))]
    arms = [tube(0.09, (side * 0.2, 0.85, 0), (side * 0.42, 0.95, 0)) for side in (-1, 1)]
    return [*parts, *arms]


def _cactus_colours(p: Values, body: Bodies) -> Values:
    c = rows(len(p), (70, 130, 70)) + _grain(p, 30, 14)
    x, y, z = p.T
    around = np.arctan2(x, z)
    c[(body == 1) & (np.sin(14 * around) > 0.75)] = (150, 190, 110)
    c[body == 0] = (190, 100, 65)
    zigzag = np.abs(y - 0.2 - 0.05 * np.abs((around * 4) % 2 - 1)) < 0.03
    c[(body == 0) & zigzag] = (240, 225, 190)
    c[(body == 0) & (y > 0.44)] = (90, 65, 45)
    c[body == 2] = (230, 90, 140)
    return np.clip(c, 0, 255)


JAR = [(0.0, 0.0), (0.3, 0), (0.33, 0.05), (0.33, 0.65), (0.26, 0.75), (0.26, 0.9), (0, 0.9)]


def _jar_colours(p: Values, body: Bodies) -> Values:
    c = rows(len(p), (185, 95, 25)) + _grain(p, 20, 14)
    x, y, z = p.T
    label = (np.abs(y - 0.35) < 0.17) & (np.abs(np.arctan2(x, z)) < 1.1)
    c[label] = (245, 238, 215)
    c[label & (np.hypot(x, y - 0.38) < 0.08)] = (170, 60, 50)
    c[label & (np.abs(y - 0.24) < 0.02) & (np.sin(60 * x) > -0.2)] = (60, 50, 45)
    c[y > 0.74] = (205, 170, 70)
    return np.clip(c + body[:, None] * 0, 0, 255)


SIDE_OF_DRUM = [(0.45, 0), (0.45, 0.06), (0.43, 0.06), (0.43, 0.64), (0.45, 0.64), (0.45, 0.7)]
DRUM = [(0.0, 0.0), *SIDE_OF_DRUM, (0.0, 0.7)]


def _drum_colours(p: Values, body: Bodies) -> Values:
    c = rows(len(p), (175, 45, 45))
    x, y, z = p.T
    around = np.arctan2(x, z) * 5 / np.pi
    rope = np.abs(np.abs(around % 2 - 1) - (y - 0.06) / 0.58) < 0.06
    c[rope & (np.hypot(x, z) > 0.42)] = (240, 225, 180)
    c[(y < 0.06) | (y > 0.64)] = (200, 160, 60)
    c[(y > 0.699) & (np.hypot(x, z) < 0.42)] = (240, 235, 220)
    return np.clip(c + body[:, None] * 0, 0, 255)


def _beetle() -> list[trimesh.Trimesh]:
    parts = [ball(0.5, (0, 0.32, 0), (0.9, 0.6, 1.2)), ball(0.22, (0, 0.3, 0.65))]
    for side in (-1, 1):
        legs = (-0.35, 0.0, 0.35)
        parts += [tube(0.035, (side * 0.3, 0.25, z), (side * 0.6, 0, z)) for z in legs]
        parts.append(ball(0.05, (side * 0.12, 0.4, 0.8)))
    return parts


def _beetle_colours(p: Values, body: Bodies) -> Values:
    c = rows(len(p), (28, 26, 30))
    x, y, z = p.T
    shell = (body == 0) & (y > 0.25)
    c[shell] = (200, 45, 35)
    for dot in ((0.2, 0.2), (0.25, -0.2), (0.12, -0.4), (0.36, 0.02)):
        c[shell & (np.hypot(np.abs(x) - dot[0], z - dot[1]) < 0.07)] = (28, 26, 30)
    c[shell & (np.abs(x) < 0.012)] = (28, 26, 30)
    c[(body == 5) | (body == 9)] = (245, 245, 235)
    return c


def _knight() -> list[trimesh.Trimesh]:
    cape = block((0.6, 0.9, 0.05), (0, 0.75, -0.25))
    parts = [ball(0.3, (0, 0.9, 0), (1, 1.2, 0.7)), ball(0.19, (0, 1.38, 0)), cape]
    for side in (-1, 1):
        parts.append(tube(0.1, (side * 0.13, 0.65, 0), (side * 0.15, 0.05, 0)))
        parts.append(tube(0.07, (side * 0.28, 1.1, 0), (side * 0.4, 0.65, 0.08)))
    return [*parts, ball(0.25, (0.42, 0.7, 0.2), (1, 1.3, 0.15))]


def _knight_colours(p: Values, body: Bodies) -> Values:
    c = rows(len(p), (160, 165, 172)) + _grain(p, 30, 16)
    x, y, z = p.T
    c[(body == 0) & (np.abs(x) < 0.14) & (y < 1.15)] = (210, 190, 60)
    c[(body == 0) & (z > 0.1) & (np.hypot(x, y - 0.95) < 0.06)] = (160, 35, 40)
    c[(body == 0) & (np.abs(y - 0.68) < 0.04)] = (80, 55, 35)
    c[(body == 1) & (z > 0.1) & (np.abs(y - 1.4) < 0.025)] = (15, 15, 18)
    c[body == 2] = (160, 35, 40)
    c[body == 7] = (50, 80, 150)
    c[(body == 7) & (np.abs(x - 0.42) < 0.04)] = (235, 235, 230)
    c[((body == 3) | (body == 5)) & (y < 0.14)] = (60, 55, 52)
    return np.clip(c, 0, 255)
