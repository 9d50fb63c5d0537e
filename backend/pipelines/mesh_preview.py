"""Shows the mesh that was given while its parts are looked for."""

from __future__ import annotations

import shutil
from pathlib import Path

from backend.pipelines.pipeline import OutputFile
from backend.progress import ProgressSink
from backend.units import MB

MOST_MB = 64


def show_given_mesh(mesh: Path, out_dir: Path, sink: ProgressSink) -> list[OutputFile]:
    """Copy the mesh as ``preview.glb`` and report it; larger ones than a page can load are left.

    Parameters
    ----------
    mesh : Path
        A GLB.

    Returns
    -------
    list of OutputFile
        The preview, or nothing.
    """
    if mesh.stat().st_size > MOST_MB * MB:
        return []
    preview = OutputFile("preview.glb", "glb", "preview", out_dir / "preview.glb")
    shutil.copyfile(mesh, preview.path)
    sink.artifact(preview.name, preview.role, preview.path)
    return [preview]
