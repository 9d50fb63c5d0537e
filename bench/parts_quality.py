"""How well does `line_of_sight_parts` find the parts of things?

Without arguments: things made here, whose parts are known; with ``--hard`` the same with noise of
0.3 % and of 1 % of the size, and with corners that lie on edges. With ``--psb DIR``: a folder with
``off/<id>.off.gz`` and ``seg/<id>.npz`` (key ``seg``: one human division per row), numbered as in
the Princeton Segmentation Benchmark. The error is 1 minus the Rand index over all pairs of faces,
averaged over the divisions that a mesh is compared with. k-means is told the true number of
parts; all others find their own. Of meshes with a mirror plane, the share of the area is told
whose mirror image lies in the mirrored part.
"""

from __future__ import annotations

import argparse
import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from time import process_time
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backend.engines.line_of_sight_parts import LineOfSightParts
from backend.engines.part_tasks import SegmentationTask
from backend.meshes.parts.mirror import find_mirror
from backend.meshes.parts.surface import Surface
from backend.meshes.parts.welding import weld
from backend.meshes.source_mesh import SourceMesh
from backend.meshes.triangle_mesh import TriangleMesh
from backend.progress import SilentSink, StageProgress
from bench.parts_assemblies import HARD_TESSELLATIONS, TESSELLATIONS, assemblies
from bench.parts_baselines import clustered, connected, diameter_classes
from bench.record import Figure, report

Labels = NDArray[np.int64]
PSB_CLASS_SIZE = 20
PSB_CLASSES = (
    "Human", "Cup", "Glasses", "Airplane", "Ant", "Chair", "Octopus", "Table", "Teddy", "Hand",
    "Plier", "Fish", "Bird", "Spring", "Armadillo", "Bust", "Mech", "Bearing", "Vase", "Fourleg",
)  # fmt: skip
ENGINE = "line_of_sight_parts"
BASELINE = "shape diameter and graph cut"


class Model(NamedTuple):
    """A mesh and the divisions that it is compared with."""

    name: str
    category: str
    half: str
    mesh: TriangleMesh
    truths: list[Labels]


def rand_error(first: Labels, second: Labels) -> float:
    """Give 1 minus the Rand index of two divisions of the same faces."""
    a, b = (np.unique(labels, return_inverse=True)[1] for labels in (first, second))
    span = int(b.max()) + 1
    joint = np.bincount(a * span + b).astype(np.float64)

    def pairs(sizes: NDArray[np.float64]) -> float:
        return float((sizes * (sizes - 1)).sum() / 2)

    apart = pairs(np.bincount(a).astype(np.float64)) + pairs(np.bincount(b).astype(np.float64))
    return (apart - 2 * pairs(joint)) / pairs(np.array([float(len(a))]))


def made_models(*, is_hard: bool = False) -> Iterator[Model]:
    """Make the things of the project."""
    for name, kind, mesh, labels in assemblies(HARD_TESSELLATIONS if is_hard else TESSELLATIONS):
        yield Model(f"{name}, {kind}", name, kind, mesh, [labels])


def psb_models(folder: Path) -> Iterator[Model]:
    """Read a folder of meshes that people have divided; even and odd numbers are the halves."""
    files = sorted(folder.glob("off/*.off.gz"), key=lambda file: int(file.name.split(".")[0]))
    for position, file in enumerate(files):
        number = int(file.name.split(".")[0])
        category = PSB_CLASSES[(number - 1) // PSB_CLASS_SIZE]
        truths = np.load(folder / "seg" / f"{number}.npz")["seg"]
        half = "first half" if position % 2 == 0 else "second half"
        yield Model(str(number), category, half, _read_off(file), list(truths.astype(np.int64)))


def _read_off(file: Path) -> TriangleMesh:
    words = gzip.decompress(file.read_bytes()).split()
    vertex_count, face_count = int(words[1]), int(words[2])
    stop = 4 + 3 * vertex_count
    vertices = np.array(words[4:stop], dtype=np.float32).reshape(-1, 3)
    faces = np.array(words[stop : stop + 4 * face_count], dtype=np.int32).reshape(-1, 4)
    return TriangleMesh(vertices, faces[:, 1:])


def divisions(model: Model) -> dict[str, tuple[Labels, float]]:
    """Divide a mesh in every way: the part of each face, and processor seconds."""
    counts = [len(np.unique(truth)) for truth in model.truths]
    ways: dict[str, Callable[[], Labels]] = {
        ENGINE: lambda: _engine_parts(model.mesh),
        "k-means, told the count": lambda: clustered(model.mesh, int(np.median(counts))),
        "connected components": lambda: connected(model.mesh),
        BASELINE: lambda: diameter_classes(model.mesh),
    }
    found = {}
    for name, way in ways.items():
        before = process_time()
        labels = way()
        found[name] = (labels, process_time() - before)
    return found


def _engine_parts(mesh: TriangleMesh) -> Labels:
    task = SegmentationTask(SourceMesh.plain(mesh))
    (found,) = LineOfSightParts().run([task], StageProgress(SilentSink(), "segmentation"))
    return found.tree.face_parts(found.tree.suggested).astype(np.int64)


def measure(model: Model) -> dict[str, Any]:
    """Divide one mesh and compare."""
    row: dict[str, Any] = {
        "model": model.name,
        "category": model.category,
        "half": model.half,
        "faces": len(model.mesh.faces),
        "true_parts": float(np.median([len(np.unique(truth)) for truth in model.truths])),
    }
    if len(model.truths) > 1:
        row["people_error"] = _people_error(model.truths)
    for name, (labels, seconds) in divisions(model).items():
        error = float(np.mean([rand_error(labels, truth) for truth in model.truths]))
        row[name] = {"error": error, "parts": len(np.unique(labels)), "cpu_s": seconds}
        if name == ENGINE:
            row["mirrored_share"] = mirrored_share(model.mesh, labels)
    return row


def mirrored_share(mesh: TriangleMesh, labels: Labels) -> float | None:
    """Tell of how much area the mirror image has the mirrored label; None without a plane."""
    welded = weld(mesh.vertices, mesh.faces)
    surface = Surface.of(welded.vertices, welded.faces)
    mirror = find_mirror(surface.centres, surface.normals, surface.areas)
    if mirror is None:
        return None
    known = np.flatnonzero(mirror.images >= 0)
    own = np.unique(labels[welded.source_faces], return_inverse=True)[1]
    span = int(own.max()) + 1
    keys = own[known] * span + own[mirror.images[known]]
    shares = np.bincount(keys, surface.areas[known], span**2).reshape(span, span)
    return float(shares.max(axis=1).sum() / shares.sum())


def _people_error(truths: list[Labels]) -> float:
    pairs = [(a, b) for i, a in enumerate(truths) for b in truths[:i]]
    return float(np.mean([rand_error(a, b) for a, b in pairs]))


def figures(rows: list[dict[str, Any]]) -> list[Figure]:
    """Summarise: means over groups for the error, so that one figure is one mean."""
    ways = [name for name, value in rows[0].items() if isinstance(value, dict)]
    groups = {"all": rows}
    for key in ("half", "category"):
        for value in dict.fromkeys(row[key] for row in rows):
            groups[f"{value}"] = [row for row in rows if row[key] == value]
    found = []
    for group, own in groups.items():
        for way in ways if group == "all" else (ENGINE, BASELINE):
            mean = float(np.mean([row[way]["error"] for row in own]))
            found.append(Figure.of(f"mean error, {group} ({len(own)}): {way}", "", [mean]))
    if "people_error" in rows[0]:
        mean = float(np.mean([row["people_error"] for row in rows]))
        found.append(Figure.of("mean error, all: people among themselves", "", [mean]))
    mirrored = [row["mirrored_share"] for row in rows if row["mirrored_share"] is not None]
    if mirrored:
        name = f"area whose image has the mirrored part, mean of {len(mirrored)} with a plane"
        found.append(Figure.of(name, "", [float(np.mean(mirrored))]))
    for way in ways:
        found.append(Figure.of(f"parts: {way}", "", [row[way]["parts"] for row in rows]))
        found.append(Figure.of(f"processor time: {way}", "s", [row[way]["cpu_s"] for row in rows]))
    return found


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--psb", type=Path, help="folder with off/ and seg/")
    parser.add_argument("--hard", action="store_true", help="noise and slits")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows = []
    for model in psb_models(args.psb) if args.psb else made_models(is_hard=args.hard):
        row = measure(model)
        rows.append(row)
        told = "  ".join(f"{v['error']:.3f}" for v in row.values() if isinstance(v, dict))
        print(f"{row['model']:<18} {row['category']:<10} {row[ENGINE]['parts']:>3} parts  {told}")
    report("parts_quality", figures(rows), {"models": len(rows)}, args.json, rows)


if __name__ == "__main__":
    main()
