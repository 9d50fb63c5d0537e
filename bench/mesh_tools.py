"""Reading, counting, mending and reducing a mesh, against trimesh's own functions in one run.

Three meshes of about 200,000 faces, made here: a globe with a texture and its seam; the same as a
soup of triangles with holes, faces that look to the wrong side and faces that are there twice; and
the sound globe without a texture. Outcomes stand beside the times: whether the result is closed,
how far it is from the round surface, and whether it has texture coordinates still.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray
from PIL import Image

from backend.catalog import MeshFileFormat
from backend.meshes.decimation.fewer_faces import with_fewer_faces
from backend.meshes.mending.mesh_figures import measure_mesh
from backend.meshes.mending.repair import RepairOptions, repair
from backend.meshes.mesh_files import write_mesh
from backend.meshes.reading.read_mesh import read_mesh
from backend.meshes.source_glb import write_source_mesh
from backend.meshes.source_mesh import EncodedImage, Material, SourceMesh
from backend.meshes.triangle_mesh import TriangleMesh
from bench.record import Figure, report

STEPS = ("read", "count", "mend", "reduce")
SHARE = 0.1
Times = dict[str, float]


def globe(rows: int) -> SourceMesh:
    """A ball of radius 1 with a checkered texture; u is the longitude."""
    u, v = np.meshgrid(np.linspace(0, 1, 2 * rows + 1), np.linspace(0, 1, rows + 1))
    around, down = 2 * np.pi * u, np.pi * v
    parts = [np.sin(down) * np.cos(around), np.cos(down), -np.sin(down) * np.sin(around)]
    points = np.stack(parts, axis=2)
    points[:, -1] = points[:, 0]
    points[0], points[-1] = (0, 1, 0), (0, -1, 0)
    numbers = np.arange(u.size).reshape(u.shape)
    a, b, c, d = numbers[:-1, :-1], numbers[:-1, 1:], numbers[1:, :-1], numbers[1:, 1:]
    lower, upper = np.stack([a, c, d], axis=2)[:-1], np.stack([a, d, b], axis=2)[1:]
    faces = np.concatenate([lower.reshape(-1, 3), upper.reshape(-1, 3)]).astype(np.int32)
    uvs = np.stack([u, v], axis=2).reshape(-1, 2).astype(np.float32)
    kinds = np.zeros(len(faces), dtype=np.int16)
    vertices = points.reshape(-1, 3).astype(np.float32)
    return SourceMesh(vertices, faces, uvs, None, (Material("land", texture=_checkers()),), kinds)


def _checkers() -> EncodedImage:
    y, x = np.mgrid[0:256, 0:512] // 32
    buffer = io.BytesIO()
    Image.fromarray(((x + y) % 2 * 200).astype(np.uint8)).convert("RGB").save(buffer, "PNG")
    return EncodedImage(buffer.getvalue(), "image/png")


def plain(mesh: SourceMesh) -> SourceMesh:
    """Leave out the texture, and with it the seam."""
    return SourceMesh.plain(TriangleMesh.welded(mesh.vertices, mesh.faces))


def broken(mesh: SourceMesh) -> SourceMesh:
    """Leave faces out, turn some over and double some, every corner with a vertex of its own."""
    rng = np.random.default_rng(0)
    faces = plain(mesh).faces
    points = plain(mesh).vertices
    keep = np.ones(len(faces), dtype=bool)
    keep[rng.choice(len(faces), 40, replace=False)] = False
    faces = faces[keep]
    turned = rng.random(len(faces)) < 0.05
    faces[turned] = faces[turned][:, ::-1]
    faces = np.concatenate([faces, faces[:50]])
    soup = points[faces].reshape(-1, 3)
    corners = np.arange(len(soup), dtype=np.int32).reshape(-1, 3)
    return SourceMesh.plain(TriangleMesh(soup, corners))


def ours(path: Path, target: int) -> tuple[Times, SourceMesh]:
    """Run the steps of `prepare_mesh`."""
    times: Times = {}
    mesh = _timed(times, "read", lambda: read_mesh(path))
    _timed(times, "count", lambda: measure_mesh(mesh))
    mended = _timed(times, "mend", lambda: repair(mesh, RepairOptions()).mesh)
    reduced = _timed(times, "reduce", lambda: with_fewer_faces(mended, target).mesh)
    return times, reduced


def theirs(path: Path, target: int) -> tuple[Times, trimesh.Trimesh]:
    """Run what trimesh has for each step."""
    times: Times = {}
    mesh: Any = _timed(times, "read", lambda: trimesh.load(path, force="mesh"))

    def count() -> object:
        closed, volume, area = mesh.is_watertight, mesh.volume, mesh.area
        return closed, volume, area, mesh.body_count, mesh.euler_number

    def mend() -> Any:
        mended = mesh.copy()
        mended.merge_vertices()
        mended.update_faces(mended.nondegenerate_faces())
        mended.update_faces(mended.unique_faces())
        trimesh.repair.fill_holes(mended)
        trimesh.repair.fix_normals(mended, multibody=True)
        return mended

    _timed(times, "count", count)
    mended = _timed(times, "mend", mend)
    reduced = _timed(times, "reduce", lambda: mended.simplify_quadric_decimation(face_count=target))
    return times, reduced


def _timed(times: Times, name: str, work: Callable[[], Any]) -> Any:
    before = perf_counter()
    found = work()
    times[name] = perf_counter() - before
    return found


def outcome(vertices: NDArray[Any], faces: NDArray[Any], has_uvs: bool) -> dict[str, Any]:
    """Judge a result by its surface alone, equal positions joined."""
    figures = measure_mesh(
        SourceMesh.plain(TriangleMesh(vertices.astype(np.float32), faces.astype(np.int32)))
    )
    solid = trimesh.Trimesh(vertices, faces, process=False)
    points, _ = trimesh.sample.sample_surface(solid, 20_000, seed=0)
    away = np.abs(np.linalg.norm(points, axis=1) - 1)
    return {
        "faces": figures.faces,
        "closed": figures.is_watertight and figures.volume_m3 is not None,
        "flipped_edges": figures.flipped_edges,
        "border_edges": figures.border_edges,
        "rms_distance": float(np.sqrt((away**2).mean())),
        "largest_distance": float(away.max()),
        "has_uvs": has_uvs,
    }


def measure(rows: int, rounds: int) -> tuple[list[Figure], list[dict[str, Any]]]:
    """Time both on each mesh, by turns."""
    whole = globe(rows)
    target = int(SHARE * len(whole.faces))
    meshes = {"textured": whole, "broken soup": broken(whole), "plain": plain(whole)}
    figures: list[Figure] = []
    rows_of: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, mesh in meshes.items():
            path = Path(folder) / ("mesh.glb" if name == "textured" else "mesh.stl")
            if name == "textured":
                write_source_mesh(mesh, path)
            else:
                write_mesh(mesh, MeshFileFormat.STL, path)
            runs = [(ours(path, target), theirs(path, target)) for _ in range(rounds)]
            figures += _figures(name, [(mine[0], other[0]) for mine, other in runs])
            own, other = runs[-1][0][1], runs[-1][1][1]
            kind = {"mesh": name, "given_faces": len(mesh.faces)}
            there = getattr(other.visual, "uv", None) is not None
            result = outcome(own.vertices, own.faces, own.uvs is not None)
            rows_of.append(kind | {"by": "prepare_mesh"} | result)
            rows_of.append(kind | {"by": "trimesh"} | outcome(other.vertices, other.faces, there))
    return figures, rows_of


def _figures(name: str, runs: list[tuple[Times, Times]]) -> list[Figure]:
    made = []
    for step in (*STEPS, "all"):
        mine, other = (
            [sum(times.values()) if step == "all" else times[step] for times in column]
            for column in zip(*runs, strict=True)
        )
        base = Figure.of(f"{name}: {step}, trimesh", "s", other)
        made += [base, Figure.of(f"{name}: {step}, prepare_mesh", "s", mine, base.median)]
    return made


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=224, help="224 give 200,000 faces")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures, rows = measure(options.rows, options.rounds)
    settings = {"rows": options.rows, "rounds": options.rounds, "share": SHARE}
    report("mesh_tools", figures, settings, options.json, rows)
    for row in rows:
        print(row)


if __name__ == "__main__":
    main()
