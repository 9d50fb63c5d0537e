"""How close does `inflate` come to solids whose true shape is known?

The solids are made here from signed distance functions. Each is seen straight from the front and
from three quarters; only its outline is given to the engine. Compared with a flat extrusion of
the same outline and with a ball of the same area. Every candidate is placed by its outline and
then fitted to the truth by 30 rounds of rigid ICP with scale: no outline tells how a thing leans.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import trimesh
from embreex.mesh_construction import TriangleMesh as EmbreeMesh
from embreex.rtcore_scene import EmbreeScene
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from skimage.measure import marching_cubes

from backend.catalog import ShapeMode
from backend.engines.inflate import Inflate
from backend.engines.shape_task import ShapeTask
from backend.meshes.height_field import slab
from backend.meshes.inflation_surface import sample_outline, slab_surface
from backend.meshes.render import View, render
from backend.meshes.smoothing import taubin
from backend.meshes.triangle_mesh import TriangleMesh
from backend.progress import SilentSink, StageProgress
from bench.record import Figure, report

Points = NDArray[np.float64]
Field = Callable[[Points], NDArray[np.float64]]

GRID, REACH = 72, 1.25
OUTLINE_PX, RESOLUTION = 256, 96
SAMPLES, INSIDE_SAMPLES = 8000, 8000
F_DISTANCE = 0.05
ICP_SAMPLES, ICP_ROUNDS = 2000, 30
VIEWS = {"front": View(0, 0), "three quarters": View(30, 15)}
MEASURES = ("chamfer", "f_score", "volume_iou")


class Score(NamedTuple):
    """Agreement with the truth; longest side of the true box = 2."""

    chamfer: float
    f_score: float
    volume_iou: float


def ball(radius: float, centre: tuple[float, float, float] = (0, 0, 0)) -> Field:
    """Give the distance to a ball."""
    return lambda p: np.linalg.norm(p - np.array(centre), axis=-1) - radius


def capsule(
    start: tuple[float, float, float], stop: tuple[float, float, float], radius: float
) -> Field:
    """Give the distance to a capsule."""
    a, b = np.array(start, dtype=np.float64), np.array(stop, dtype=np.float64)

    def distance(p: Points) -> NDArray[np.float64]:
        along = np.clip((p - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)[..., None]
        return np.asarray(np.linalg.norm(p - a - along * (b - a), axis=-1) - radius)

    return distance


def box(half: tuple[float, float, float], centre: tuple[float, float, float] = (0, 0, 0)) -> Field:
    """Give the distance to a box."""

    def distance(p: Points) -> NDArray[np.float64]:
        beyond = np.abs(p - np.array(centre)) - np.array(half)
        outside = np.linalg.norm(np.maximum(beyond, 0), axis=-1)
        return np.asarray(outside + np.minimum(beyond.max(axis=-1), 0))

    return distance


def torus(large: float, small: float) -> Field:
    """Give the distance to a ring that faces the viewer."""
    return lambda p: np.hypot(np.hypot(p[..., 0], p[..., 1]) - large, p[..., 2]) - small


def turned(radius_at: Callable[[NDArray[np.float64]], NDArray[np.float64]], half: float) -> Field:
    """Give an approximate distance to a body turned about the upright axis."""

    def distance(p: Points) -> NDArray[np.float64]:
        side = np.hypot(p[..., 0], p[..., 2]) - radius_at(p[..., 1])
        return np.maximum(side, np.abs(p[..., 1]) - half)

    return distance


def union(*fields: Field) -> Field:
    """Join bodies."""
    return lambda p: np.min([field(p) for field in fields], axis=0)


def figure(spread: float, lean: float) -> Field:
    """Give a standing figure made of capsules."""
    return union(
        ball(0.2, (0, 0.75, lean)),
        capsule((0, 0.5, 0), (0, -0.1, 0), 0.24),
        capsule((-0.2, 0.45, 0), (-spread, 0.05, lean), 0.08),
        capsule((0.2, 0.45, 0), (spread, 0.05, -lean), 0.08),
        capsule((-0.13, -0.2, 0), (-0.18, -0.85, lean), 0.1),
        capsule((0.13, -0.2, 0), (0.18, -0.85, 0), 0.1),
    )


def animal() -> Field:
    """Give a four-legged animal seen from its side."""
    legs = [capsule((x, -0.1, z), (x, -0.65, z), 0.08) for x in (-0.45, 0.4) for z in (-0.15, 0.15)]
    body = capsule((-0.45, 0, 0), (0.45, 0.05, 0), 0.26)
    return union(
        body, ball(0.2, (0.75, 0.35, 0)), capsule((-0.65, 0.1, 0), (-0.9, 0.4, 0), 0.05), *legs
    )


def chair() -> Field:
    """Give a chair: what inflation cannot do."""
    legs = [box((0.05, 0.4, 0.05), (x, -0.5, z)) for x in (-0.4, 0.4) for z in (-0.4, 0.4)]
    back = box((0.45, 0.45, 0.05), (0, 0.45, -0.4))
    return union(box((0.45, 0.05, 0.45), (0, -0.05, 0)), back, *legs)


SOLIDS: dict[str, Field] = {
    "ball": ball(0.9),
    "egg": turned(
        lambda y: 0.62 * np.sqrt(np.maximum(1 - (y / 0.95) ** 2, 0)) * (1 - 0.2 * y), 0.95
    ),
    "vase": turned(lambda y: 0.4 + 0.18 * np.sin(4 * y), 0.9),
    "bottle": turned(lambda y: np.where(y < 0.3, 0.35, 0.12) + 0.0 * y, 0.95),
    "goblet": turned(lambda y: 0.08 + 0.4 * np.abs(y) ** 2, 0.9),
    "ring": torus(0.7, 0.2),
    "figure": figure(0.4, 0.0),
    "figure with arms out": figure(0.75, 0.0),
    "walking figure": figure(0.45, 0.25),
    "animal": animal(),
    "snowman": union(ball(0.5, (0, -0.45, 0)), ball(0.36, (0, 0.2, 0)), ball(0.25, (0, 0.66, 0))),
    "cross": union(
        capsule((-0.8, 0.2, 0), (0.8, 0.2, 0), 0.15), capsule((0, -0.9, 0), (0, 0.8, 0), 0.15)
    ),
    "pill": capsule((-0.6, -0.3, 0), (0.6, 0.3, 0), 0.3),
    "card": box((0.6, 0.9, 0.08)),
    "book": box((0.6, 0.8, 0.2)),
    "cube": box((0.7, 0.7, 0.7)),
    "hammer": union(capsule((0, -0.9, 0), (0, 0.5, 0), 0.08), box((0.4, 0.15, 0.15), (0, 0.6, 0))),
    "mug": union(
        turned(lambda y: 0.45 + 0 * y, 0.6),
        capsule((0.4, 0.3, 0), (0.8, 0, 0), 0.08),
        capsule((0.8, 0, 0), (0.4, -0.3, 0), 0.08),
    ),
    "chair": chair(),
}


def solid(field: Field) -> TriangleMesh:
    """Mesh a solid; its longest side becomes 2, its box is centred."""
    axis = np.linspace(-REACH, REACH, GRID)
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
    corners, faces, _, _ = marching_cubes(-field(points) + 1e-7, 0.0, method="lorensen")
    return _boxed(TriangleMesh.welded(corners, faces))


def outline_of(mesh: TriangleMesh) -> NDArray[np.bool_]:
    """Outline seen from the front, (h, w) bool."""
    mask: NDArray[np.bool_] = render(mesh, View(), OUTLINE_PX, supersample=1)[..., 3] > 0
    return mask


def turn(mesh: TriangleMesh, view: View) -> TriangleMesh:
    """Turn the solid so that ``view`` becomes its front."""
    towards, right, up = view.axes()
    return _boxed(mesh.with_vertices(mesh.vertices @ np.stack([right, up, towards], axis=1)))


def inflate(mask: NDArray[np.bool_], mode: ShapeMode) -> TriangleMesh:
    """Run the engine on an outline."""
    grey = np.full((*mask.shape, 3), 128, dtype=np.uint8)
    progress = StageProgress(SilentSink(), "bench")
    (shape,) = Inflate().run([ShapeTask(grey, mask, mode, RESOLUTION)], progress)
    return shape.mesh if shape.mode is ShapeMode.SLAB else taubin(shape.mesh, 6)


def extruded(mask: NDArray[np.bool_]) -> TriangleMesh:
    """Extrude the outline by half the root of its area."""
    flat = np.zeros(mask.shape, dtype=np.float32)
    return slab_surface(sample_outline(mask, slab(mask, 1.0), flat, RESOLUTION))


def same_area_ball(mask: NDArray[np.bool_]) -> TriangleMesh:
    """Make a ball that covers as many pixels as the outline, in its middle."""
    rows, columns = np.nonzero(mask)
    round_ = trimesh.creation.icosphere(4, float(np.sqrt(mask.sum() / np.pi)))
    round_.apply_translation([columns.mean(), rows.mean(), 0])
    return TriangleMesh.welded(round_.vertices, round_.faces[:, ::-1])


def compare(made: TriangleMesh, mask: NDArray[np.bool_], truth: TriangleMesh) -> Score:
    """Score a mesh in pixels against the truth, both placed by the outline."""
    other = _surface(truth, 2)
    placed = _fitted(_placed(made, mask, truth), other)
    one = _surface(placed, 1)
    to_truth, _ = cKDTree(other).query(one)
    to_made, _ = cKDTree(one).query(other)
    precision = float(np.mean(to_truth < F_DISTANCE))
    recall = float(np.mean(to_made < F_DISTANCE))
    f_score = 2 * precision * recall / max(precision + recall, 1e-9)
    where = np.random.default_rng(3).uniform(-1.2, 1.2, (INSIDE_SAMPLES, 3))
    in_made, in_truth = _inside(placed, where), _inside(truth, where)
    overlap = (in_made & in_truth).sum() / max((in_made | in_truth).sum(), 1)
    return Score(float(np.mean(to_truth) + np.mean(to_made)) / 2, float(f_score), float(overlap))


def _placed(made: TriangleMesh, mask: NDArray[np.bool_], truth: TriangleMesh) -> TriangleMesh:
    """Put the outline's box onto the truth's; the depth is centred, as no picture tells it."""
    rows, columns = np.where(mask.any(axis=1))[0], np.where(mask.any(axis=0))[0]
    scale = float(truth.extents[:2].max()) / max(np.ptp(rows) + 1, np.ptp(columns) + 1)
    middle_x, middle_y = (columns[0] + columns[-1]) / 2, (rows[0] + rows[-1]) / 2
    x, y, z = made.vertices.astype(np.float64).T
    moved = np.stack([x - middle_x, middle_y - y, z - (z.min() + z.max()) / 2], axis=1) * scale
    return made.with_vertices(moved)


def _fitted(made: TriangleMesh, truth: Points) -> TriangleMesh:
    matrix, _, _ = trimesh.registration.icp(
        _surface(made, 4)[:ICP_SAMPLES], truth, max_iterations=ICP_ROUNDS, reflection=False
    )
    return made.with_vertices(trimesh.transform_points(made.vertices, matrix))


def _boxed(mesh: TriangleMesh) -> TriangleMesh:
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    return mesh.with_vertices((mesh.vertices - (low + high) / 2) * (2 / float((high - low).max())))


def _surface(mesh: TriangleMesh, seed: int) -> Points:
    points, _ = trimesh.sample.sample_surface(mesh.as_trimesh(), SAMPLES, seed=seed)
    return np.asarray(points, dtype=np.float64)


def _inside(mesh: TriangleMesh, points: Points) -> NDArray[np.bool_]:
    """Count crossings along a ray in a direction no face is likely to share."""
    scene = EmbreeScene()
    EmbreeMesh(scene, np.ascontiguousarray(mesh.vertices[mesh.faces], dtype=np.float32))
    direction = np.array([0.6123, 0.3541, 0.7068], dtype=np.float32)
    origins = points.astype(np.float32)
    crossings = np.zeros(len(points), dtype=np.int64)
    alive = np.arange(len(points))
    while len(alive):
        rays = np.ascontiguousarray(np.broadcast_to(direction, (len(alive), 3)))
        hits = scene.run(np.ascontiguousarray(origins[alive]), rays, output=True)
        hit = hits["primID"] >= 0
        alive = alive[hit]
        crossings[alive] += 1
        origins[alive] += direction * (np.asarray(hits["tfar"])[hit, None] + 1e-4)
    inside: NDArray[np.bool_] = crossings % 2 == 1
    return inside


def score_all(mesh: TriangleMesh) -> dict[str, Score]:
    """Score the engine and what it is compared with, on one solid."""
    mask = np.pad(outline_of(mesh), 8)
    made = {
        "inflate": inflate(mask, ShapeMode.AUTO),
        "inflate, never turned or flat": inflate(mask, ShapeMode.INFLATE),
        "flat extrusion": extruded(mask),
        "ball of the same area": same_area_ball(mask),
    }
    return {name: compare(candidate, mask, mesh) for name, candidate in made.items()}


def figures(rows: list[dict[str, object]], view: str) -> list[Figure]:
    """Summarise one view; ratios are to the flat extrusion."""
    mine = [row for row in rows if row["view"] == view]
    names = [name for name in mine[0] if name not in ("solid", "view")]
    found = []
    for measure in MEASURES:
        values = {n: [float(getattr(row[n], measure)) for row in mine] for n in names}
        base = float(np.median(values["flat extrusion"]))
        found += [Figure.of(f"{view}: {measure}, {n}", "", values[n], base) for n in names]
    return found


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows: list[dict[str, object]] = []
    for name, field in SOLIDS.items():
        upright = solid(field)
        for view_name, view in VIEWS.items():
            scores = score_all(turn(upright, view))
            rows.append({"solid": name, "view": view_name, **scores})
            told = "  ".join(f"{n} F {s.f_score:.2f}" for n, s in scores.items())
            print(f"{name:<22} {view_name:<15} {told}")
    found = [figure_ for view in VIEWS for figure_ in figures(rows, view)]
    settings = {"solids": len(SOLIDS), "resolution": RESOLUTION, "f_distance": F_DISTANCE}
    plain = [
        {k: v._asdict() if isinstance(v, Score) else v for k, v in row.items()} for row in rows
    ]
    report("inflate_quality", found, settings, args.json, plain)


if __name__ == "__main__":
    main()
