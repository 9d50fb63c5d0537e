"""Reads one mesh in a process of its own: ``python -m backend.meshes.reading < upload``.

What is uploaded comes as standard input; the mesh, written anew as GLB, goes to the file that is
open as ``--output``; the answer in JSON to standard output: ``{"facts": …}``, or
``{"problem": {"code", "detail", "advice", "fields"}}`` with status 1. Part numbers of its faces,
where some were sent along, are the file that is open as ``--face-ids``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from backend.child_answer import facts_or_problem
from backend.child_limits import limit_this_process, no_files_opened
from backend.errors import MeshTooLarge
from backend.meshes.reading.mesh_format import mesh_format


def main(arguments: list[str]) -> int:
    """Read, check, write, answer."""
    options = _parser().parse_args(arguments)
    limit_this_process(options.memory_mb, options.cpu_s)
    data = sys.stdin.buffer.read()
    answer = answer_for(data, options.faces, options.output, options.face_ids, no_files_opened)
    sys.stdout.write(json.dumps(answer))
    return 0 if "facts" in answer else 1


def answer_for(
    data: bytes,
    faces: int,
    output: int | None,
    face_ids: int | None = None,
    guard: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> dict[str, Any]:
    """Read a file and write it anew; returns what is printed.

    Parameters
    ----------
    data : bytes
        What was uploaded.
    faces : int
        Most faces that are read.
    output : int or None
        Descriptor of the file that takes the GLB.
    face_ids : int or None
        Descriptor of a file with the part number of each face, open at its beginning.
    guard : callable
        Makes what surrounds the reading.
    """
    return facts_or_problem(
        lambda: _facts(data, faces, output, face_ids, guard), "the mesh", MeshTooLarge
    )


def _facts(
    data: bytes,
    faces: int,
    output: int | None,
    face_ids: int | None,
    guard: Callable[[], AbstractContextManager[None]],
) -> dict[str, Any]:
    """Judge by the first bytes; numpy is loaded only for what may be a mesh."""
    mesh_format(data)
    from backend.meshes.reading.face_numbers import read_face_numbers
    from backend.meshes.reading.mesh_facts import mesh_facts
    from backend.meshes.reading.mesh_limits import MeshLimits
    from backend.meshes.reading.not_read import not_read
    from backend.meshes.reading.read_mesh import judge_mesh
    from backend.meshes.source_glb import write_source_mesh

    with guard():
        judged = judge_mesh(data, MeshLimits(faces=faces))
        if face_ids is not None:
            with os.fdopen(face_ids, "rb", closefd=False) as file:
                read_face_numbers(file, len(judged.mesh.faces))
        left = not_read(data, judged.format, judged.mesh.materials)
    if output is not None:
        write_source_mesh(judged.mesh, Path(f"/proc/self/fd/{output}"), left)
    return mesh_facts(judged)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m backend.meshes.reading")
    parser.add_argument("--output", type=int, help="descriptor of the file to write")
    parser.add_argument("--face-ids", type=int, help="descriptor of a file of part numbers")
    parser.add_argument("--faces", type=int, default=2_000_000)
    parser.add_argument("--memory-mb", type=int, default=3072)
    parser.add_argument("--cpu-s", type=float, default=60.0)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
