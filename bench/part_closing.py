"""Does `cap_parts` close every part, and how long does one take on a processor?

Without arguments: things made here with their known parts, and solids that are cut at random into
regions and into faces strewn over them. With ``--psb DIR`` also a folder laid out like the
Princeton Segmentation Benchmark, with the parts that people drew. A part counts as closed when
every edge has two faces once equal positions are joined, and manifold3d takes it with a volume
above 0. Compared with ``trimesh.repair.fill_holes``, plain and with fans, on the same parts in the
same run; what was closed before is left out of all shares.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from time import process_time
from typing import Any, NamedTuple

import numpy as np
import trimesh
from numpy.typing import NDArray

from backend.engines.cap_parts import CapParts
from backend.engines.part_tasks import CompletionTask
from backend.meshes.closed_part import ClosingMethod
from backend.meshes.closing.solidity import is_solid
from backend.meshes.source_mesh import SourceMesh
from backend.meshes.triangle_mesh import TriangleMesh
from backend.progress import SilentSink, StageProgress
from bench.parts_quality import made_models, psb_models
from bench.record import Figure, report

Labels = NDArray[np.int64]
OURS = "cap_parts"
THEIRS = {"trimesh fill_holes": False, "trimesh fill_holes with fans": True}


class Divided(NamedTuple):
    """A mesh, the part of each face, and what kind of division that is."""

    kind: str
    name: str
    mesh: TriangleMesh
    labels: Labels


def made_things() -> Iterator[Divided]:
    """Make the things of the project with their parts."""
    for model in made_models():
        yield Divided("things made here", model.name, model.mesh, model.truths[0])


def people_divided(folder: Path, people: int) -> Iterator[Divided]:
    """Read a benchmark; of each mesh the divisions of its first people."""
    for model in psb_models(folder):
        for number, labels in enumerate(model.truths[:people]):
            yield Divided("divided by people", f"{model.name}/{number}", model.mesh, labels)


def cut_solids(count: int) -> Iterator[Divided]:
    """Make solids and divide them: by a plane, into regions, and face by face."""
    for seed in range(count):
        rng = np.random.default_rng(seed)
        mesh = _random_solid(rng, seed % 3)
        middle = mesh.vertices[mesh.faces].mean(axis=1)
        for kind, divide in DIVISIONS.items():
            yield Divided(f"solids, {kind}", str(seed), mesh, divide(rng, middle))


def _random_solid(rng: np.random.Generator, kind: int) -> TriangleMesh:
    if kind == 0:
        solid = trimesh.convex.convex_hull(rng.normal(size=(int(rng.integers(8, 200)), 3)))
    elif kind == 1:
        solid = trimesh.creation.icosphere(3)
        solid.vertices *= rng.uniform(0.85, 1.15, (len(solid.vertices), 1))
    else:
        solid = trimesh.creation.torus(1, float(rng.uniform(0.2, 0.6)))
    solid.apply_transform(trimesh.transformations.random_rotation_matrix(rng.random(3)))
    return TriangleMesh.welded(solid.vertices, solid.faces)


def _by_plane(rng: np.random.Generator, middle: NDArray[np.floating]) -> Labels:
    heights = middle @ rng.normal(size=3)
    return (heights > rng.uniform(*np.percentile(heights, [10, 90]))).astype(np.int64)


def _by_region(rng: np.random.Generator, middle: NDArray[np.floating]) -> Labels:
    seats = middle[rng.choice(len(middle), min(5, len(middle)), replace=False)]
    distances = np.linalg.norm(middle[:, None] - seats[None], axis=2)
    return np.asarray(distances.argmin(axis=1), dtype=np.int64)


def _by_chance(rng: np.random.Generator, middle: NDArray[np.floating]) -> Labels:
    return rng.integers(0, 3, len(middle))


DIVISIONS: dict[str, Callable[[np.random.Generator, NDArray[np.floating]], Labels]] = {
    "cut by a plane": _by_plane,
    "five regions": _by_region,
    "faces strewn": _by_chance,
}


def measure(divided: Divided) -> list[dict[str, Any]]:
    """Close every part both ways; processor time of a mesh is shared by its parts."""
    mesh = SourceMesh.plain(divided.mesh)
    numbers = np.unique(divided.labels)
    before = process_time()
    task = CompletionTask(mesh, divided.labels.astype(np.int32))
    (completed,) = CapParts().run([task], StageProgress(SilentSink(), "part_completion"))
    ours_ms = 1000 * (process_time() - before) / len(numbers)
    rows = []
    for number, part in zip(numbers, completed.parts, strict=True):
        cut = mesh.selected(divided.labels == number)
        row = {
            "kind": divided.kind,
            "name": divided.name,
            "part": part.part,
            "faces": len(cut.faces),
            "method": part.method.value,
            "notice": part.notice,
            OURS: _accepted(part.mesh.vertices, part.mesh.faces),
            f"{OURS}: ms": ours_ms,
        }
        rows.append(row | _theirs(cut))
    return rows


def _theirs(part: SourceMesh) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, use_fan in THEIRS.items():
        before = process_time()
        filled = trimesh.Trimesh(part.vertices, part.faces, process=False)
        filled.merge_vertices(merge_tex=True, merge_norm=True)
        trimesh.repair.fill_holes(filled, use_fan=use_fan)
        with np.errstate(all="ignore"):  # it divides by the volume of flat parts
            trimesh.repair.fix_inversion(filled)
        found[f"{name}: ms"] = 1000 * (process_time() - before)
        found[name] = _accepted(filled.vertices, filled.faces)
    return found


def _accepted(vertices: NDArray[np.floating], faces: NDArray[np.integer]) -> bool:
    joined = TriangleMesh.welded(vertices, np.asarray(faces))
    points, corners = joined.vertices.astype(np.float64), joined.faces.astype(np.int64)
    return joined.is_closed() and joined.volume() > 0 and is_solid(points, corners)


def figures(rows: list[dict[str, Any]]) -> list[Figure]:
    """Summarise by kind of division; ratios are to trimesh with fans."""
    found = []
    for kind in dict.fromkeys(row["kind"] for row in rows):
        mine = [row for row in rows if row["kind"] == kind]
        mine = [row for row in mine if row["method"] != ClosingMethod.WAS_CLOSED.value]
        if not mine:
            continue
        found += _kind_figures(kind, mine)
    return found


def _kind_figures(kind: str, rows: list[dict[str, Any]]) -> list[Figure]:
    found = []
    for name in (OURS, *THEIRS):
        share = 100 * float(np.mean([row[name] for row in rows]))
        found.append(Figure.of(f"{kind}: closed, {name}", "%", [share]))
    for method, count in Counter(row["method"] for row in rows).most_common():
        found.append(Figure.of(f"{kind}: by {method}", "%", [100 * count / len(rows)]))
    fans_ms = float(np.median([row[f"{name}: ms"] for row in rows]))
    for name in (OURS, *THEIRS):
        spent = [row[f"{name}: ms"] for row in rows]
        found.append(Figure.of(f"{kind}: a part, {name}", "ms", spent, fans_ms))
    return found


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--psb", type=Path, help="folder with off/ and seg/")
    parser.add_argument("--people", type=int, default=1, help="divisions of each mesh there")
    parser.add_argument("--solids", type=int, default=60, help="solids that are cut at random")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    things = [*made_things(), *cut_solids(args.solids)]
    if args.psb:
        things += people_divided(args.psb, args.people)
    rows = [row for thing in things for row in measure(thing)]
    failed = [row for row in rows if not row[OURS]]
    for row in failed:
        print("not closed:", row)
    settings = {"solids": args.solids, "people": args.people if args.psb else 0}
    report("part_closing", figures(rows), settings, args.json, failed)


if __name__ == "__main__":
    main()
