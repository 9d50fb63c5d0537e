"""Faces that close a loop without touching the surface elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from backend.meshes.closing.half_edges import Indices, Points
from backend.meshes.closing.loop_plane import LoopPlane
from backend.meshes.closing.polygons import clip_ears, doubled_areas

MAX_UNEVENNESS = 0.05  # of the radius; a loop this even keeps its shape up to the rim
INSETS = (0.02, 0.003)  # of the radius
MAX_INSET_OF_EDGE = 0.4
SMOOTHING_ROUNDS = 3
FEW_POINTS = 12
PULL = 0.06
DOME = ((0.06, 3), (0.3, 10), (0.6, 30))  # of the way to the middle, rounds of smoothing


class CapShape(StrEnum):
    """How a loop was closed."""

    FLAT = "flat"
    DOMED = "domed"
    SMOOTHED = "smoothed"
    FAN = "fan"


@dataclass(frozen=True)
class Cap:
    """Faces that close a loop, or an outline with holes.

    A ring of new points runs inside every loop, so that no edge of the cap can be one that the
    surface has already.

    Parameters
    ----------
    points : (p, 3) float64
        New points.
    faces : (f, 3) int64
        Corners; the points of the loops come first, in order, then the new ones.
    """

    points: Points
    faces: Indices
    shape: CapShape


def cap_loops(loops: Sequence[Points]) -> Cap | None:
    """Close an outline and the holes in it.

    Parameters
    ----------
    loops : sequence of (k, 3) float64
        In the direction of the surface's faces; the outline first.

    Returns
    -------
    Cap or None
        None when there are holes and no simple polygon comes of it: close each loop alone.
    """
    plane = LoopPlane.of(loops[0])
    if plane is not None:
        flat = _flat_cap(loops, plane)
        if flat is not None:
            return flat
    if len(loops) > 1:
        return None
    ring = _smoothed(loops[0], PULL, SMOOTHING_ROUNDS if len(loops[0]) >= FEW_POINTS else 1)
    if plane is None:
        return _fan_cap(ring)
    return _domed_cap(loops[0]) or _clipped_cap(ring) or _fan_cap(ring)


def _flat_cap(loops: Sequence[Points], plane: LoopPlane) -> Cap | None:
    """Keep the shape of loops that are nearly flat up to the rim."""
    heights = plane.heights(np.concatenate(loops))
    if len(loops) == 1 and np.abs(heights).max() > MAX_UNEVENNESS * plane.radius:
        return None
    flats = [plane.flat(loop) for loop in loops]
    for inset in INSETS:
        rings = [_inset(flat, inset * plane.radius) for flat in flats]
        strips = _strips([len(ring) for ring in rings])
        if not (doubled_areas(np.concatenate([*flats, *rings]), strips) < 0).all():
            continue
        ears = clip_ears(rings)
        if ears is not None:
            faces = np.concatenate([strips, ears[:, ::-1] + len(heights)])
            return Cap(plane.lifted(np.concatenate(rings), heights), faces, CapShape.FLAT)
    return None


def _inset(flat: Points, distance: float) -> Points:
    """Move a flat loop to its left, less where its edges are short."""
    edges = np.roll(flat, -1, axis=0) - flat
    lengths = np.linalg.norm(edges, axis=1)
    left = np.stack([-edges[:, 1], edges[:, 0]], axis=1) / np.maximum(lengths, 1e-300)[:, None]
    inwards = left + np.roll(left, 1, axis=0)
    inwards /= np.maximum(np.linalg.norm(inwards, axis=1), 1e-12)[:, None]
    shorter = np.minimum(lengths, np.roll(lengths, 1))
    return np.asarray(flat + np.minimum(distance, MAX_INSET_OF_EDGE * shorter)[:, None] * inwards)


def _strips(counts: Sequence[int]) -> Indices:
    """Stitch loops to their rings; loops come first, rings follow in the same order."""
    total = sum(counts)
    starts = np.cumsum([0, *counts])
    here = np.arange(total)
    there = np.concatenate(
        [start + np.roll(np.arange(n), -1) for start, n in zip(starts, counts, strict=False)]
    )
    outer = np.stack([there, here, here + total], axis=1)
    inner = np.stack([there, here + total, there + total], axis=1)
    return np.concatenate([outer, inner])


def _smoothed(loop: Points, pull: float, rounds: int) -> Points:
    """Even out a ragged loop and pull it to the middle."""
    ring = loop
    for _ in range(rounds):
        before, after = (np.concatenate([ring[s:], ring[:s]]) for s in (-1, 1))
        ring = (ring + before + after) / 3
    return np.asarray(ring + pull * (loop.mean(axis=0) - ring))


def _domed_cap(loop: Points) -> Cap | None:
    """Lead a ragged loop to a smooth middle in rings; None unless it runs around its middle."""
    count = len(loop)
    if count < FEW_POINTS:
        return None
    rings = [_smoothed(loop, pull, min(rounds, count // 4)) for pull, rounds in DOME]
    plane = LoopPlane.of(rings[0])
    if plane is None:
        return None
    strips = np.concatenate([_strips([count]) + step * count for step in range(len(rings))])
    flat = plane.flat(np.concatenate([loop, *rings]))
    ears = clip_ears([flat[-count:]])
    if ears is None or (doubled_areas(flat, strips[2 * count :]) >= 0).any():
        return None
    faces = np.concatenate([strips, ears[:, ::-1] + len(rings) * count])
    return Cap(np.concatenate(rings), faces, CapShape.DOMED)


def _clipped_cap(ring: Points) -> Cap | None:
    plane = LoopPlane.of(ring)
    ears = clip_ears([plane.flat(ring)]) if plane else None
    if ears is None:
        return None
    faces = np.concatenate([_strips([len(ring)]), ears[:, ::-1] + len(ring)])
    return Cap(ring, faces, CapShape.SMOOTHED)


def _fan_cap(ring: Points) -> Cap:
    count = len(ring)
    here = count + np.arange(count)
    fan = np.stack([np.roll(here, -1), here, np.full(count, 2 * count)], axis=1)
    points = np.concatenate([ring, ring.mean(axis=0)[None]])
    return Cap(points, np.concatenate([_strips([count]), fan]), CapShape.FAN)
