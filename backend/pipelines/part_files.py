"""The files of a surface that was divided into parts."""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.meshes.closed_part import ClosedPart, ClosingMethod
from backend.meshes.closing.explosion import explosion_offsets
from backend.meshes.export import write_stl
from backend.meshes.part_colors import PALETTE_SIZE, palette, part_color, rgb_of
from backend.meshes.part_facts import measure_enclosure, measure_parts
from backend.meshes.part_scene import PartScene, ScenePart, part_name, write_surface
from backend.meshes.part_split import ShadedMesh, split, split_at_borders
from backend.meshes.source_mesh import SourceMesh
from backend.meshes.textured_mesh import TexturedMesh
from backend.meshes.triangle_mesh import TriangleMesh
from backend.pipelines.model_files import write_thumbnail
from backend.pipelines.part_division import Division
from backend.pipelines.pipeline import OutputFile
from backend.profiling.recorder import profile_stage
from backend.profiling.spans import SpanKind
from backend.progress import StageProgress
from backend.runtime_settings import SettingName, number_of
from backend.units import MB

FORMAT_VERSION = 1
MOST_SINGLE = 64
MOST_REPEATED_MB = 128.0
STEPS = 5
_DATE = (1980, 1, 1, 0, 0, 0)  # same input, same bytes


@dataclass(frozen=True)
class PartRow:
    """What is told of one part.

    Parameters
    ----------
    box : (2, 3) float
        Lowest and highest corner.
    volume : float or None
        None for a part that is open.
    """

    index: int
    faces: int
    area: float
    box: NDArray[np.floating]
    closed: bool
    volume: float | None
    method: ClosingMethod | None = None
    notice: str | None = None

    def to_document(self) -> dict[str, Any]:
        """Make it JSON-ready; how it was closed is told of completed parts only."""
        made = {
            "index": self.index,
            "name": part_name(self.index),
            "color": part_color(self.index),
            "faces": self.faces,
            "area": _short(self.area),
            "volume": None if self.volume is None else _short(self.volume),
            "closed": self.closed,
            "box": [[_short(value) for value in corner] for corner in self.box],
            "centre": [_short(value) for value in self.box.mean(axis=0)],
        }
        if self.method is not None:
            made |= {"method": self.method.value, "notice": self.notice}
        return made


class PartFiles:
    """Writes the files of a division, as it was cut or with its parts completed.

    Parameters
    ----------
    division : Division
        The surface and its parts.
    completed : sequence of ClosedPart, optional
        The parts as meshes of their own.
    """

    def __init__(self, division: Division, completed: Sequence[ClosedPart] | None = None) -> None:
        self._division = division
        self._completed = completed
        self._shaded = ShadedMesh.of(division.mesh)
        self._face_parts = division.face_parts

    @cached_property
    def rows(self) -> list[PartRow]:
        """Figures of each part."""
        mesh, count = self._division.mesh, self._division.count
        facts = measure_parts(mesh, self._face_parts, count)
        enclosure = measure_enclosure(mesh, self._face_parts, count)
        completed = {part.part: part for part in self._completed or ()}
        rows = []
        for index in range(count):
            closed = bool(enclosure.closed[index])
            cut = PartRow(
                index,
                int(facts.faces[index]),
                float(facts.areas[index]),
                facts.boxes[index],
                closed,
                float(enclosure.volumes[index]) if closed else None,
            )
            rows.append(_completed_row(cut, completed[index]) if index in completed else cut)
        return rows

    def write(
        self, out_dir: Path, progress: StageProgress, thumbnail: str = "thumbnail.png"
    ) -> list[OutputFile]:
        """Write everything; raises JobCanceled.

        Parameters
        ----------
        thumbnail : str
            Name of the picture that shows the colours of the parts; its role is the same without
            the ending.
        """
        with profile_stage("write_part_data", SpanKind.IO):
            self._write_data(out_dir)
        progress.step(1, STEPS)
        with profile_stage("write_surface", SpanKind.IO):
            write_surface(self._shaded, self._division.tree.face_patches, out_dir / "surface.glb")
        progress.step(2, STEPS)
        parts = self._scene_parts()
        with profile_stage("write_parts", SpanKind.IO):
            self._write_scenes(parts, out_dir)
        progress.step(3, STEPS)
        with profile_stage("write_single_parts", SpanKind.IO):
            singles = _write_singles(parts, out_dir, progress)
        progress.step(4, STEPS)
        with profile_stage("write_part_picture", SpanKind.IO):
            self._write_thumbnail(out_dir / thumbnail)
        progress.step(5, STEPS)
        files = (*_FILES, (thumbnail, Path(thumbnail).stem))
        return [_output(out_dir, name, role) for name, role in files] + singles

    def _write_data(self, out_dir: Path) -> None:
        tree = self._division.tree
        (out_dir / "part_tree.json").write_text(json.dumps(self._tree_document()))
        np.savez_compressed(
            out_dir / "part_tree.npz",
            face_patches=tree.face_patches.astype("<i4"),
            merges=tree.merges.astype("<i4"),
            costs=tree.costs.astype("<f4"),
        )
        np.save(out_dir / "face_ids.npy", self._face_parts.astype("<i4"))
        (out_dir / "boxes.json").write_text(json.dumps(_boxes_document(self.rows)))

    def _tree_document(self) -> dict[str, Any]:
        tree = self._division.tree
        patches = measure_parts(self._division.mesh, tree.face_patches, tree.patch_count)
        return tree.to_document() | {
            "version": FORMAT_VERSION,
            "count": self._division.count,
            "palette": [*palette()[: min(PALETTE_SIZE, max(tree.patch_count, 1))]],
            "parts": [row.to_document() for row in self.rows],
            "patches": {
                "faces": patches.faces.tolist(),
                "areas": [_short(area) for area in patches.areas],
                "boxes": [[_short(side) for side in box.reshape(-1)] for box in patches.boxes],
            },
        }

    def _write_scenes(self, parts: Sequence[ScenePart], out_dir: Path) -> None:
        """Write the parts where they are, and moved apart."""
        scene = PartScene(parts)
        scene.write(out_dir / "parts.glb")
        offsets = explosion_offsets(self._boxes())
        scene.write_moved(offsets[[part.index for part in parts]], out_dir / "exploded.glb")

    def _boxes(self) -> NDArray[np.floating]:
        """Boxes of the parts, (p, 2, 3); those without faces lie in the middle of the others."""
        boxes = np.array([row.box for row in self.rows])
        present = np.array([row.faces > 0 or row.method is not None for row in self.rows])
        boxes[~present] = boxes[present].mean(axis=(0, 1))
        return boxes

    def _scene_parts(self) -> list[ScenePart]:
        made = [
            ScenePart(
                part.part,
                ShadedMesh.of(part.mesh),
                {"method": part.method.value, "notice": part.notice},
            )
            for part in self._completed or ()
        ]
        return sorted(made + self._as_cut(), key=lambda part: part.index)

    def _as_cut(self) -> list[ScenePart]:
        """The parts that nobody completed, such as faces in no box, as they were given."""
        done = {part.part for part in self._completed or ()}
        left = [row.index for row in self.rows if row.faces and row.index not in done]
        if not left:
            return []
        shapes = split(self._shaded, self._face_parts, self._division.count)
        return [ScenePart(index, shapes[index]) for index in left]

    def _write_thumbnail(self, path: Path) -> None:
        """Show the surface in the colours of its parts."""
        count = self._division.count
        cut, labels = split_at_borders(self._shaded, self._face_parts)
        uv = np.stack([(labels + 0.5) / count, np.full(len(labels), 0.5)], axis=1)
        colors = np.array([rgb_of(part_color(part)) for part in range(count)], dtype=np.uint8)
        shown = TexturedMesh(
            cut.mesh.vertices, cut.normals, uv.astype(np.float32), cut.mesh.faces, colors[None]
        )
        write_thumbnail(shown, path, number_of(SettingName.EXPORT_COMPRESSION))


def completion_facts(engine: str, completed: Sequence[ClosedPart]) -> dict[str, Any]:
    """JSON-ready report of what became of the parts."""
    methods = Counter(part.method.value for part in completed)
    return {
        "engine": engine,
        "closed": sum(part.volume is not None for part in completed),
        "methods": dict(sorted(methods.items())),
        "notices": {
            part_name(part.part): part.notice for part in completed if part.notice is not None
        },
    }


_FILES = (
    ("parts.glb", "parts"),
    ("surface.glb", "surface"),
    ("exploded.glb", "exploded"),
    ("part_tree.json", "part_tree"),
    ("part_tree.npz", "part_tree_data"),
    ("face_ids.npy", "face_ids"),
    ("boxes.json", "boxes"),
    ("parts.zip", "parts_zip"),
)


def _completed_row(cut: PartRow, part: ClosedPart) -> PartRow:
    """Tell of a part as it is now; its faces and its area stay those of the given surface."""
    low, high = part.mesh.vertices.min(axis=0), part.mesh.vertices.max(axis=0)
    return replace(
        cut,
        box=np.stack([low, high]),
        closed=part.volume is not None,
        volume=part.volume,
        method=part.method,
        notice=part.notice,
    )


def _boxes_document(rows: Sequence[PartRow]) -> list[dict[str, Any]]:
    """List the boxes of parts that are there; those of no faces have none."""
    documents = [row.to_document() for row in rows if row.faces or row.method is not None]
    return [
        {"index": found["index"], "name": found["name"], "box": found["box"]} for found in documents
    ]


def _write_singles(
    parts: Sequence[ScenePart], out_dir: Path, progress: StageProgress
) -> list[OutputFile]:
    """Write each part alone as GLB and STL, and all of them into parts.zip."""
    keep = len(parts) <= MOST_SINGLE
    if not keep:
        progress.warn(
            f"There are {len(parts)} parts: their single files are in parts.zip, and not listed "
            "one by one."
        )
    with_glb = _repeated_textures_mb(parts) <= MOST_REPEATED_MB
    if not with_glb:
        progress.warn(
            "Single parts are written as STL only: the textures would be repeated in each GLB. "
            "parts.glb holds all parts with their textures."
        )
    level = number_of(SettingName.EXPORT_COMPRESSION)
    made = []
    with zipfile.ZipFile(out_dir / "parts.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for part in parts:
            progress.check_canceled()
            for file in _write_alone(part, out_dir, with_glb=with_glb):
                _add(archive, file, level)
                if keep:
                    made.append(file)
                else:
                    file.path.unlink()
    return made


def _write_alone(part: ScenePart, out_dir: Path, *, with_glb: bool) -> list[OutputFile]:
    files = [_output(out_dir, f"{part.name}.stl", "part_stl")]
    write_stl(_bare(part.shape.mesh), files[0].path)
    if with_glb:
        files.insert(0, _output(out_dir, f"{part.name}.glb", "part_glb"))
        PartScene([part]).write(files[0].path)
    return files


def _repeated_textures_mb(parts: Sequence[ScenePart]) -> float:
    """Megabytes of textures in the files of single parts, all together."""
    total = 0
    for part in parts:
        mesh = part.shape.mesh
        used = [mesh.materials[kind] for kind in np.unique(mesh.face_materials)]
        textures = {one for look in used for one in (look.texture, look.metallic_roughness)}
        total += sum(len(texture.data) for texture in textures if texture is not None)
    return total / MB


def _bare(mesh: SourceMesh) -> TriangleMesh:
    return TriangleMesh(mesh.vertices, mesh.faces)


def _add(archive: zipfile.ZipFile, file: OutputFile, level: int) -> None:
    entry = zipfile.ZipInfo(file.name, date_time=_DATE)
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, file.path.read_bytes(), compresslevel=level)


def _output(out_dir: Path, name: str, role: str) -> OutputFile:
    return OutputFile(name, name.rpartition(".")[2], role, out_dir / name)


def _short(value: float | np.floating[Any]) -> float:
    return float(f"{float(value):.6g}")
