"""Objects held out: painted before any result on them was seen, and never tuned on.

They tell whether figures measured while the method was made hold for other objects. Whoever
changes the method looks at ``painted_objects`` and ``tuning_objects`` only.
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
SEED = 20


def held_out_objects() -> Iterator[PaintedObject]:
    """Make ten objects of other kinds, some shown from the front and some from between sides."""
    yield painted("bear", _bear(), _bear_colours)
    yield painted("robot", _robot(), _robot_colours)
    yield painted("mushroom", _mushroom(), _mushroom_colours)
    yield painted("rocket", _rocket(), _rocket_colours)
    yield painted("bag", _bag(), _bag_colours).turned(15)
    yield painted("vase", _vase(), _vase_colours)
    yield painted("chair", _chair(), _chair_colours).turned(35)
    yield painted("train", _train(), _train_colours).turned(40)
    yield painted("car", _car(), _car_colours).turned(60)
    yield painted("bird", _bird(), _bird_colours).turned(75)


def _grain(points: Values, scale: float, strength: float) -> Values:
    """Give an even surface a soft irregular pattern, (n, 1): sums of waves in random directions."""
    rng = np.random.default_rng(SEED)
    ways, phases = rng.normal(size=(6, 3)) * scale, rng.uniform(0, 2 * np.pi, 6)
    return np.asarray(strength * np.sin(points @ ways.T + phases).mean(axis=1)[:, None])


def _bear() -> list[trimesh.Trimesh]:
    parts = [ball(0.36, (0, 0.4, 0), (1, 1.1, 0.85)), ball(0.27, (0, 0.98, 0.02))]
    parts.append(ball(0.11, (0, 0.92, 0.25), (1.1, 0.8, 0.8)))
    for side in (-1, 1):
        parts.append(ball(0.1, (side * 0.22, 1.2, 0), (1, 1, 0.5)))
        parts.append(ball(0.12, (side * 0.42, 0.55, 0.1), (1, 1.6, 1)))
        parts.append(ball(0.15, (side * 0.24, 0.1, 0.2), (1, 0.8, 1.5)))
    return parts


def _bear_colours(p: Values, body: Bodies) -> Values:
    c = rows(len(p), (150, 98, 55)) + _grain(p, 25, 22)
    x, y, z = p.T
    c[(body == 0) & (z > 0.15) & (np.hypot(x, y - 0.42) < 0.2)] = (222, 190, 140)
    c[body == 2] = (222, 190, 140)
    c[(body == 2) & (z > 0.31) & (y > 0.93)] = (30, 22, 20)
    c[(body == 1) & (z > 0.18) & (np.hypot(np.abs(x) - 0.1, y - 1.05) < 0.03)] = (20, 18, 20)
    c[(body % 3 == 0) & (body > 2) & (z > 0.01)] = (222, 180, 150)
    c[(body < 2) & (np.abs(y - 0.755) < 0.035)] = (200, 40, 45)
    c[(body > 3) & (z > 0.38)] = (222, 190, 140)
    return np.clip(c, 0, 255)


def _robot() -> list[trimesh.Trimesh]:
    parts = [block((0.7, 0.8, 0.45), (0, 0.8, 0)), block((0.5, 0.4, 0.4), (0, 1.45, 0))]
    parts += [tube(0.03, (0, 1.65, 0), (0, 1.85, 0)), block((0.45, 0.5, 0.2), (0, 0.85, -0.32))]
    for side in (-1, 1):
        parts.append(tube(0.09, (side * 0.46, 1.1, 0), (side * 0.5, 0.45, 0.05)))
        parts.append(block((0.22, 0.42, 0.3), (side * 0.2, 0.2, 0)))
    return parts


def _robot_colours(p: Values, body: Bodies) -> Values:
    c = rows(len(p), (165, 172, 180))
    x, y, z = p.T
    c[(body == 1) & (z > 0.19) & (np.abs(x) < 0.2) & (np.abs(y - 1.47) < 0.12)] = (25, 35, 45)
    c[(body == 1) & (z > 0.19) & (np.hypot(np.abs(x) - 0.1, y - 1.49) < 0.04)] = (60, 220, 230)
    chest = (body == 0) & (z > 0.22)
    c[chest & (np.abs(x) < 0.22) & (np.abs(y - 0.95) < 0.12)] = (230, 200, 60)
    c[chest & (np.hypot(np.abs(x) - 0.12, y - 0.65) < 0.05)] = (200, 50, 50)
    c[(body == 0) & (y < 0.5)] = (70, 75, 85)
    c[body == 2] = (220, 60, 50)
    c[body == 3] = (70, 75, 85)
    c[(body == 3) & (z < -0.41) & (np.hypot(np.abs(x) - 0.1, y - 0.75) < 0.07)] = (230, 120, 40)
    c[(body > 3) & (body % 2 == 1) & (y < 0.12)] = (70, 75, 85)
    return c


def _mushroom() -> list[trimesh.Trimesh]:
    cap = [(0, 0.55), (0.3, 0.5), (0.52, 0.48), (0.5, 0.62), (0.38, 0.8), (0.2, 0.92), (0, 0.95)]
    stem = [(0, 0), (0.2, 0), (0.18, 0.2), (0.14, 0.55), (0, 0.56)]
    return [turned_body(cap), turned_body(stem)]


def _mushroom_colours(p: Values, body: Bodies) -> Values:
    c = rows(len(p), (238, 226, 205)) + _grain(p, 18, 14)
    red = (body == 0) & (p[:, 1] > 0.5)
    c[red] = (190, 35, 30)
    rng = np.random.default_rng(SEED)
    angle, height = rng.uniform(0, 2 * np.pi, 26), rng.uniform(0.52, 0.93, 26)
    reach = np.interp(height, (0.48, 0.62, 0.8, 0.92), (0.52, 0.5, 0.38, 0.2))
    dots = np.stack([reach * np.sin(angle), height, reach * np.cos(angle)], axis=1)
    away = np.linalg.norm(p[:, None] - dots[None], axis=2)
    c[red & (away < rng.uniform(0.03, 0.07, 26)).any(axis=1)] = (245, 240, 225)
    return np.clip(c, 0, 255)


def _rocket() -> list[trimesh.Trimesh]:
    outline = [(0, 0.1), (0.22, 0.1), (0.3, 0.5), (0.28, 1.1), (0.16, 1.5), (0, 1.75)]
    fins = []
    for turn in range(3):
        fin = block((0.03, 0.45, 0.3), (0, 0.28, 0.36))
        fin.apply_transform(trimesh.transformations.rotation_matrix(turn * 2.0944, (0, 1, 0)))
        fins.append(fin)
    return [turned_body(outline), *fins]


def _rocket_colours(p: Values, body: Bodies) -> Values:
    c = rows(len(p), (235, 235, 238))
    x, y, z = p.T
    around = np.arctan2(x, z)
    c[(body == 0) & (y > 1.4)] = (205, 45, 40)
    c[(body == 0) & (np.abs(y - 0.45) < 0.06)] = (205, 45, 40)
    check = ((around * 9 / np.pi).astype(int) + (y * 12).astype(int)) % 2 == 0
    c[(body == 0) & (np.abs(y - 0.7) < 0.08) & check] = (30, 30, 35)
    c[(body == 0) & (z > 0) & (np.hypot(x, y - 1.1) < 0.1)] = (80, 85, 95)
    c[(body == 0) & (z > 0) & (np.hypot(x, y - 1.1) < 0.075)] = (110, 180, 220)
    c[(body == 0) & (z < 0) & (np.abs(x) < 0.07) & (np.abs(y - 1.05) < 0.2)] = (150, 155, 165)
    c[body > 0] = (40, 70, 150)
    return c


def _bag() -> list[trimesh.Trimesh]:
    parts = [ball(0.5, (0, 0.6, 0), (0.85, 1.15, 0.5)), ball(0.28, (0, 0.38, 0.2), (1, 0.8, 0.5))]
    for side in (-1, 1):
        strap = trimesh.creation.torus(0.36, 0.045, 48, 16)
        strap.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 2, (0, 1, 0)))
        strap.apply_scale((1.2, 1.1, 0.6))
        strap.apply_translation((side * 0.2, 0.62, -0.18))
        parts.append(strap)
    return parts


def _bag_colours(p: Values, body: Bodies) -> Values:
    c = rows(len(p), (45, 95, 125)) + _grain(p, 40, 14)
    x, y, z = p.T
    c[(body == 0) & (np.abs(z) < 0.02)] = (25, 28, 32)
    c[body == 1] = (205, 120, 45)
    c[(body == 1) & (np.abs(y - 0.48) < 0.015)] = (25, 28, 32)
    c[(body == 0) & (z > 0) & (np.abs(x) < 0.14) & (np.abs(y - 0.88) < 0.05)] = (240, 240, 235)
    c[(body == 0) & (z < -0.1) & (np.abs(x) < 0.25)] = (70, 72, 78)
    c[(body == 0) & (y < 0.15)] = (90, 60, 40)
    c[body > 1] = (35, 38, 45)
    return np.clip(c, 0, 255)


def _vase() -> list[trimesh.Trimesh]:
    outline = [(0, 0), (0.2, 0), (0.36, 0.3), (0.38, 0.5), (0.26, 0.85), (0.16, 1.05), (0.22, 1.2)]
    return [turned_body([*outline, (0.19, 1.2), (0.13, 1.05), (0, 1.0)])]


def _vase_colours(p: Values, body: Bodies) -> Values:
    c = rows(len(p), (228, 232, 238))
    x, y, z = p.T
    around = np.arctan2(x, z)
    rng = np.random.default_rng(SEED)
    for angle, height in zip(rng.uniform(-3.1, 3.1, 9), rng.uniform(0.25, 0.7, 9), strict=True):
        aside = (around - angle + np.pi) % (2 * np.pi) - np.pi
        far = np.hypot(aside * 0.36, y - height)
        petal = 0.07 + 0.03 * np.cos(5 * np.arctan2(y - height, aside * 0.36))
        c[far < petal] = (45, 80, 165)
        c[far < 0.025] = (225, 190, 70)
    c[(np.abs(y - 0.1) < 0.02) | (np.abs(y - 0.95) < 0.03)] = (45, 80, 165)
    c[y > 1.17] = (45, 80, 165)
    return c


def _chair() -> list[trimesh.Trimesh]:
    legs = [tube(0.03, (x, 0, z), (x, 0.45, z)) for x in (-0.25, 0.25) for z in (-0.25, 0.25)]
    seat, back = block((0.6, 0.08, 0.6), (0, 0.48, 0)), block((0.6, 0.55, 0.05), (0, 0.85, -0.27))
    return [seat, back, ball(0.26, (0, 0.54, 0.02), (1, 0.25, 1)), *legs]


def _chair_colours(p: Values, body: Bodies) -> Values:
    grain = np.sin(30 * p[:, 1] + 6 * np.sin(5 * p[:, 0]))[:, None] * 9
    c = rows(len(p), (165, 110, 62)) + grain
    c[body == 2] = (150, 50, 60)
    c[(body == 2) & (np.sin(40 * p[:, 0]) > 0.6)] = (225, 210, 180)
    x, y, _ = p[body == 1].T
    slats = np.where(np.abs((x * 10) % 1 - 0.5)[:, None] < 0.12, (95, 60, 32), c[body == 1])
    c[body == 1] = np.where((np.abs(y - 0.85) < 0.2)[:, None], slats, c[body == 1])
    return np.asarray(np.clip(c, 0, 255))


def _train() -> list[trimesh.Trimesh]:
    parts = [block((0.6, 0.15, 1.9), (0, 0.3, 0)), tube(0.27, (0, 0.62, -0.1), (0, 0.62, 0.95))]
    parts += [block((0.62, 0.75, 0.6), (0, 0.7, -0.5)), block((0.72, 0.06, 0.75), (0, 1.1, -0.5))]
    parts += [tube(0.09, (0, 0.85, 0.7), (0, 1.2, 0.7)), tube(0.08, (0, 0.85, 0.3), (0, 1.0, 0.3))]
    for side in (-1, 1):
        for z in (-0.6, 0.0, 0.6):
            parts.append(tube(0.2, (side * 0.31, 0.2, z), (side * 0.37, 0.2, z)))
    return parts


def _train_colours(p: Values, body: Bodies) -> Values:
    c = rows(len(p), (35, 90, 60))
    x, y, z = p.T
    c[body == 0] = (150, 35, 35)
    c[(body == 1) & (np.abs((z * 4) % 1 - 0.5) < 0.06)] = (205, 170, 80)
    c[(body == 1) & (z > 0.94)] = (50, 50, 55)
    side = (body == 2) & (np.abs(x) > 0.305)
    c[side & (np.abs(z + 0.5) < 0.17) & (np.abs(y - 0.85) < 0.12)] = (150, 190, 210)
    c[side & (np.abs(y - 0.55) < 0.02)] = (205, 170, 80)
    c[(body == 2) & (z > -0.21) & (np.abs(np.abs(x) - 0.2) < 0.07) & (y > 0.9)] = (150, 190, 210)
    c[(body == 3) | (body == 4)] = (40, 40, 45)
    c[body == 5] = (205, 170, 80)
    c[body > 5] = (150, 35, 35)
    c[(body > 5) & (np.hypot(y - 0.2, (z + 0.9) % 0.6 - 0.3) < 0.05)] = (205, 170, 80)
    return c


def _car() -> list[trimesh.Trimesh]:
    parts = [
        ball(0.5, (0, 0.4, 0), (0.85, 0.45, 2.0)),
        ball(0.4, (0, 0.58, -0.1), (0.9, 0.75, 1.3)),
    ]
    wheels = [(side, z) for side in (-1, 1) for z in (-0.6, 0.6)]
    return parts + [tube(0.17, (side * 0.28, 0.2, z), (side * 0.4, 0.2, z)) for side, z in wheels]


def _car_colours(p: Values, body: Bodies) -> Values:
    c = rows(len(p), (60, 110, 190))
    x, y, z = p.T
    glass = (body == 1) & (y > 0.6) & (y < 0.8)
    c[glass] = (40, 48, 58)
    c[glass & (np.abs(z + 0.1) < 0.03)] = (60, 110, 190)
    c[(body == 0) & (z > 0.85) & (np.abs(np.abs(x) - 0.16) < 0.06) & (y > 0.36)] = (250, 245, 200)
    c[(body == 0) & (z < -0.85) & (np.abs(np.abs(x) - 0.16) < 0.06) & (y > 0.36)] = (200, 25, 30)
    c[(body == 0) & (y < 0.26)] = (45, 45, 48)
    c[(body == 0) & (np.abs(x) < 0.05) & (y > 0.4)] = (240, 240, 240)
    c[(body == 0) & (np.abs(x) > 0.33) & (np.hypot(y - 0.42, z) < 0.08)] = (240, 240, 240)
    c[body > 1] = (28, 28, 30)
    c[(body > 1) & (np.hypot(y - 0.2, np.abs(z) - 0.6) < 0.09)] = (190, 192, 196)
    return c


def _bird() -> list[trimesh.Trimesh]:
    beak = trimesh.creation.cone(radius=0.07, height=0.22, sections=32)
    beak.apply_translation((0, 0.92, 0.36))
    parts = [ball(0.35, (0, 0.5, 0), (0.75, 0.85, 1.15)), ball(0.2, (0, 0.9, 0.22)), beak]
    parts.append(ball(0.25, (0, 0.45, -0.55), (0.5, 0.2, 1.3)))
    for side in (-1, 1):
        parts.append(ball(0.3, (side * 0.24, 0.52, -0.1), (0.25, 0.7, 1.2)))
        parts.append(tube(0.02, (side * 0.1, 0, 0.05), (side * 0.1, 0.25, 0.05)))
    return parts


def _bird_colours(p: Values, body: Bodies) -> Values:
    c = rows(len(p), (60, 160, 75)) + _grain(p, 30, 20)
    _, y, z = p.T
    c[(body == 0) & (y < 0.5) & (z > -0.1)] = (235, 205, 70)
    c[(body == 1) & (y > 0.98)] = (210, 60, 40)
    c[(body == 1) & (np.hypot(y - 0.94, z - 0.3) < 0.035)] = (20, 20, 22)
    c[(body == 2) | (body == 5) | (body == 7)] = (225, 140, 50)
    wing = (body == 4) | (body == 6)
    c[wing & (np.sin(24 * z + 8 * y) > 0.4)] = (35, 95, 150)
    c[wing & (z < -0.3)] = (30, 45, 90)
    c[body == 3] = (30, 45, 90)
    return np.clip(c, 0, 255)
