"""How close does `inflate` come to the true shape, seen only from the front?

Ground truth is made here from signed distance functions. Compared with a flat extrusion of the
outline and with a sphere of the same area, in the same run.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from skimage.measure import marching_cubes

from backend.catalog import ShapeMode
from backend.engines.inflate import Inflate, ShapeTask
from backend.meshes.frame import PictureFrame, to_metres
from backend.meshes.masks import bounds
from backend.meshes.render import covered_pixels
from backend.meshes.triangle_mesh import TriangleMesh
from backend.progress import SilentSink, StageProgress
from bench.record import Figure, report

GRID, PICTURE_PX, RESOLUTION, POINTS, REACH = 96, 256, 96, 8000, 0.05

Points = NDArray[np.float64]
Solid = Callable[[Points], Points]


def ball(centre: tuple[float, float, float], radius: float) -> Solid:
    """Distance to a ball."""
    return lambda p: np.asarray(np.linalg.norm(p - centre, axis=-1) - radius)


def capsule(start: tuple[float, ...], stop: tuple[float, ...], radius: float) -> Solid:
    """Distance to a rod with round ends."""
    a, b = np.array(start), np.array(stop)

    def distance(p: Points) -> Points:
        along = np.clip(((p - a) @ (b - a)) / ((b - a) @ (b - a)), 0, 1)
        return np.asarray(np.linalg.norm(p - a - along[..., None] * (b - a), axis=-1) - radius)

    return distance


def box(centre: tuple[float, ...], half: tuple[float, ...]) -> Solid:
    """Distance to a box."""

    def distance(p: Points) -> Points:
        q = np.abs(p - np.array(centre)) - np.array(half)
        outside: Points = np.linalg.norm(np.maximum(q, 0), axis=-1)
        return np.asarray(outside + np.minimum(q.max(axis=-1), 0))

    return distance


def turned(profile: Callable[[Points], Points]) -> Solid:
    """A body turned about the vertical axis; ``profile`` gives the radius at a height."""
    return lambda p: np.maximum(
        np.hypot(p[..., 0], p[..., 2]) - profile(p[..., 1]), np.abs(p[..., 1]) - 0.9
    )


def ring(major: float, minor: float) -> Solid:
    """A ring that faces the viewer."""
    return lambda p: np.hypot(np.hypot(p[..., 0], p[..., 1]) - major, p[..., 2]) - minor


def union(*solids: Solid) -> Solid:
    """All of them together."""
    return lambda p: np.minimum.reduce([solid(p) for solid in solids])


SOLIDS: dict[str, Solid] = {
    "ball": ball((0, 0, 0), 0.8),
    "doll": union(
        ball((0, 0.55, 0), 0.3),
        capsule((0, 0.2, 0), (0, -0.2, 0), 0.26),
        capsule((-0.2, 0.2, 0), (-0.7, 0.05, 0), 0.1),
        capsule((0.2, 0.2, 0), (0.7, 0.05, 0), 0.1),
        capsule((-0.14, -0.3, 0), (-0.16, -0.85, 0), 0.12),
        capsule((0.14, -0.3, 0), (0.16, -0.85, 0), 0.12),
    ),
    "dog, from the side": union(
        capsule((-0.4, 0, 0), (0.4, 0, 0), 0.24),
        ball((0.62, 0.3, 0), 0.2),
        *(capsule((x, -0.1, z), (x, -0.7, z), 0.08) for x in (-0.4, 0.4) for z in (-0.15, 0.15)),
    ),
    "vase": turned(lambda y: 0.38 + 0.16 * np.sin(3.2 * y)),
    "bottle": turned(lambda y: np.where(y > 0.35, 0.12, 0.34)),
    "ring": ring(0.6, 0.2),
    "fish": union(
        lambda p: np.linalg.norm(p / np.array([0.75, 0.4, 0.22]), axis=-1) * 0.22 - 0.22,
        box((-0.75, 0, 0), (0.15, 0.3, 0.04)),
    ),
    "book": box((0, 0, 0), (0.55, 0.75, 0.12)),
    "cube": box((0, 0, 0), (0.6, 0.6, 0.6)),
    "chair": union(
        box((0, 0, 0), (0.45, 0.05, 0.45)),
        box((0, 0.45, -0.4), (0.45, 0.4, 0.05)),
        *(box((x, -0.45, z), (0.05, 0.4, 0.05)) for x in (-0.4, 0.4) for z in (-0.4, 0.4)),
    ),
    "table": union(
        box((0, 0.3, 0), (0.8, 0.05, 0.5)),
        *(box((x, -0.2, z), (0.05, 0.5, 0.05)) for x in (-0.7, 0.7) for z in (-0.4, 0.4)),
    ),
}


@dataclass(frozen=True)
class Score:
    """Chamfer distance, share of points within 5 % of half the size, volume IoU."""

    chamfer: float
    f_score: float
    volume_iou: float


def truth_mesh(solid: Solid) -> TriangleMesh:
    """The true surface in a cube of side 2."""
    axis = np.linspace(-1.05, 1.05, GRID)
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
    corners, faces, _, _ = marching_cubes(-solid(points).astype(np.float32), 0.0)
    mesh = TriangleMesh.welded(corners * (axis[1] - axis[0]) - 1.05, faces)
    return mesh if mesh.volume() > 0 else TriangleMesh(mesh.vertices, mesh.faces[:, ::-1].copy())


def front_mask(mesh: TriangleMesh) -> NDArray[np.bool_]:
    """What a viewer sees of it from the front."""
    frame = PictureFrame(PICTURE_PX / 2, PICTURE_PX / 2, 2.2 / PICTURE_PX)
    return covered_pixels(mesh, frame, (PICTURE_PX, PICTURE_PX))


def inflated(mask: NDArray[np.bool_]) -> TriangleMesh:
    """What our engine makes of the outline alone."""
    grey = np.full((*mask.shape, 3), 128, dtype=np.uint8)
    task = ShapeTask(grey, mask, ShapeMode.AUTO, RESOLUTION)
    (shape,) = Inflate().run([task], StageProgress(SilentSink(), "bench"))
    return to_metres(shape.mesh, 1.0)[0]


def extruded(mask: NDArray[np.bool_]) -> TriangleMesh:
    """A flat slab of the outline, as thick as a quarter of the root of its area."""
    grey = np.full((*mask.shape, 3), 128, dtype=np.uint8)
    task = ShapeTask(grey, mask, ShapeMode.SLAB, RESOLUTION)
    (shape,) = Inflate().run([task], StageProgress(SilentSink(), "bench"))
    return to_metres(shape.mesh, 1.0)[0]


def sphere(mask: NDArray[np.bool_]) -> TriangleMesh:
    """A ball that covers the same area."""
    top, bottom, left, right = bounds(mask)
    size = max(bottom - top, right - left)
    mesh = truth_mesh(ball((0, 0, 0), 0.8))
    scale = np.sqrt(mask.sum() / np.pi) / size / 0.8
    return mesh.with_vertices(mesh.vertices * scale)


def score(made: TriangleMesh, truth: TriangleMesh) -> Score:
    """Compare after the best shift and scale (eight rounds of nearest points)."""
    true_points = sample(truth, 0)
    points = aligned(sample(made, 1), true_points)
    forth = np.asarray(cKDTree(true_points).query(points)[0])
    back = np.asarray(cKDTree(points).query(true_points)[0])
    precision, recall = (forth < REACH).mean(), (back < REACH).mean()
    f_score = 2 * precision * recall / max(precision + recall, 1e-9)
    overlap = volume_iou(made, truth, sample(made, 1), points)
    return Score(float(forth.mean() + back.mean()) / 2, float(f_score), overlap)


def sample(mesh: TriangleMesh, seed: int) -> Points:
    """Points spread evenly over a surface whose longest side is made 2."""
    rng = np.random.default_rng(seed)
    corners = mesh.vertices.astype(np.float64)[mesh.faces]
    area = np.linalg.norm(
        np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
    )
    face = rng.choice(len(area), POINTS, p=area / area.sum())
    u, v = rng.random((2, POINTS, 1))
    flip = (u + v) > 1
    u, v = np.where(flip, 1 - u, u), np.where(flip, 1 - v, v)
    a, b, c = corners[face].transpose(1, 0, 2)
    return _normalised(a + u * (b - a) + v * (c - a), mesh)


def _normalised(points: NDArray[np.floating], mesh: TriangleMesh) -> Points:
    middle = (mesh.vertices.max(axis=0) + mesh.vertices.min(axis=0)) / 2
    moved: Points = (points - middle) * (2 / float(mesh.extents.max()))
    return moved


def aligned(points: Points, target: Points) -> Points:
    """Shift and scale points onto a target."""
    tree = cKDTree(target)
    for _ in range(8):
        near = target[tree.query(points)[1]]
        centre, goal = points.mean(axis=0), near.mean(axis=0)
        spread = ((points - centre) ** 2).sum()
        factor = float(((points - centre) * (near - goal)).sum()) / float(spread)
        points = (points - centre) * max(factor, 0.5) + goal
    return points


def volume_iou(made: TriangleMesh, truth: TriangleMesh, before: Points, after: Points) -> float:
    """Overlap of the two bodies, sampled in a cube, with the alignment of the surfaces."""
    import trimesh

    spread = float(np.linalg.norm(before - before.mean(axis=0)))
    factor = float(np.linalg.norm(after - after.mean(axis=0)) / spread)
    shift = after.mean(axis=0) - before.mean(axis=0) * factor
    queries = np.random.default_rng(2).uniform(-1.1, 1.1, (6000, 3))
    inside = []
    for mesh, points in ((made, (queries - shift) / factor), (truth, queries)):
        body = trimesh.Trimesh(_normalised(mesh.vertices, mesh), mesh.faces, process=False)
        inside.append(np.asarray(body.contains(points)))
    either = int(np.count_nonzero(inside[0] | inside[1]))
    return int(np.count_nonzero(inside[0] & inside[1])) / max(either, 1)


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    methods = {"sphere": sphere, "flat extrusion": extruded, "inflate": inflated}
    rows: list[dict[str, Any]] = []
    for name, solid in SOLIDS.items():
        truth = truth_mesh(solid)
        mask = front_mask(truth)
        for method, make in methods.items():
            rows.append({"solid": name, "method": method, **score(make(mask), truth).__dict__})
    for row in rows:
        print(
            f"{row['solid']:<20} {row['method']:<15} F {row['f_score']:.3f}  "
            f"chamfer {row['chamfer']:.3f}  IoU {row['volume_iou']:.3f}"
        )
    figures = []
    for key in ("f_score", "chamfer", "volume_iou"):
        values = {m: [r[key] for r in rows if r["method"] == m] for m in methods}
        base = float(np.median(values["flat extrusion"]))
        figures += [Figure.of(f"{m}: {key}", "", v, compared_with=base) for m, v in values.items()]
    report("inflate_quality", figures, {"solids": len(SOLIDS), "grid": GRID}, args.json, rows)


if __name__ == "__main__":
    main()
