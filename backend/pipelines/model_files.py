"""The files of a finished model: every format, the maps of its texture and the thumbnail."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from backend.errors import MeshInvalid
from backend.meshes.export import reload_welded, write_glb, write_obj_zip, write_ply, write_stl
from backend.meshes.render import View, render
from backend.meshes.textured_mesh import TexturedMesh
from backend.meshes.triangle_mesh import TriangleMesh
from backend.pipelines.pipeline import OutputFile
from backend.pipelines.texture_maps import map_files, write_map
from backend.profiling.recorder import profile_stage, wrap
from backend.profiling.spans import SpanKind
from backend.progress import StageProgress
from backend.runtime_settings import SettingName, number_of

THUMBNAIL_PX = 512
THUMBNAIL_VIEW = View(azimuth=28.0, elevation=14.0)

Writer = Callable[[], None]


def write_model_files(
    mesh: TriangleMesh,
    textured: TexturedMesh | None,
    out_dir: Path,
    progress: StageProgress,
    notes: Mapping[str, Any] | None = None,
) -> list[OutputFile]:
    """Write every format and the thumbnail, and read the GLB back; raises MeshInvalid.

    Parameters
    ----------
    notes : mapping, optional
        Kept in the GLB; see ``backend.meshes.glb_notes``.
    """
    shown = textured or mesh
    files = [
        OutputFile("model.glb", "glb", "model", out_dir / "model.glb"),
        OutputFile("model_obj.zip", "obj", "model_obj", out_dir / "model_obj.zip"),
        OutputFile("model.stl", "stl", "model_stl", out_dir / "model.stl"),
        OutputFile("model.ply", "ply", "model_ply", out_dir / "model.ply"),
        OutputFile("thumbnail.png", "png", "thumbnail", out_dir / "thumbnail.png"),
    ]
    glb, obj, stl, ply, thumbnail = (file.path for file in files)
    compression = number_of(SettingName.EXPORT_COMPRESSION)
    writers: list[Writer] = [
        partial(_timed, "write_thumbnail", partial(write_thumbnail, shown, thumbnail, compression)),
        partial(_timed, "write_obj", partial(write_obj_zip, shown, obj, compression)),
        partial(_timed, "write_glb", partial(_write_closed_glb, shown, glb, notes)),
        partial(_timed, "write_stl", partial(write_stl, mesh, stl)),
        partial(_timed, "write_ply", partial(write_ply, mesh, ply)),
    ]
    if textured is not None:
        maps = map_files(textured, out_dir)
        writers += _map_writers(textured, maps, compression)
        files += maps
    _run_all(writers, number_of(SettingName.EXPORT_THREADS), progress)
    return files


def write_textured_files(
    textured: TexturedMesh,
    out_dir: Path,
    progress: StageProgress,
    notes: Mapping[str, Any] | None = None,
) -> list[OutputFile]:
    """Write a mesh that somebody gave with its new texture; it may be open."""
    files = [
        OutputFile("model.glb", "glb", "model", out_dir / "model.glb"),
        OutputFile("model_obj.zip", "obj", "model_obj", out_dir / "model_obj.zip"),
        OutputFile("thumbnail.png", "png", "thumbnail", out_dir / "thumbnail.png"),
    ]
    glb, obj, thumbnail = (file.path for file in files)
    maps = map_files(textured, out_dir)
    compression = number_of(SettingName.EXPORT_COMPRESSION)
    writers: list[Writer] = [
        partial(
            _timed, "write_thumbnail", partial(write_thumbnail, textured, thumbnail, compression)
        ),
        partial(_timed, "write_obj", partial(write_obj_zip, textured, obj, compression)),
        partial(_timed, "write_glb", partial(write_glb, textured, glb, notes)),
        *_map_writers(textured, maps, compression),
    ]
    _run_all(writers, number_of(SettingName.EXPORT_THREADS), progress)
    return files + maps


def write_thumbnail(mesh: TriangleMesh | TexturedMesh, path: Path, compression: int) -> None:
    """Render the model on a transparent ground."""
    picture = Image.fromarray(render(mesh, THUMBNAIL_VIEW, THUMBNAIL_PX))
    picture.save(path, compress_level=compression)


def _map_writers(
    textured: TexturedMesh, maps: Sequence[OutputFile], compression: int
) -> list[Writer]:
    return [
        partial(_timed, f"write_{file.role}", partial(write_map, textured, file, compression))
        for file in maps
    ]


def _run_all(writers: Sequence[Writer], threads: int, progress: StageProgress) -> None:
    """Run the longest first, so that the others fit beside it."""
    if threads == 1:
        for done, writer in enumerate(writers, 1):
            writer()
            progress.step(done, len(writers))
        return
    with ThreadPoolExecutor(threads, thread_name_prefix="export") as pool:
        running = [pool.submit(wrap(writer)) for writer in writers]
        for done, finished in enumerate(as_completed(running), 1):
            finished.result()
            progress.step(done, len(writers))


def _timed(name: str, write: Writer) -> None:
    with profile_stage(name, SpanKind.IO):
        write()


def _write_closed_glb(
    mesh: TriangleMesh | TexturedMesh, path: Path, notes: Mapping[str, Any] | None
) -> None:
    write_glb(mesh, path, notes)
    if not reload_welded(path).is_watertight:
        raise MeshInvalid("The GLB is not closed when read back.")
