"""``complete``: the parts of a mesh become closed meshes, here or on a running server."""

from __future__ import annotations

import argparse
from pathlib import Path

from backend.catalog import PipelineName
from backend.cli.segment import add_arguments, mesh_params, read_mesh_into
from backend.settings import Settings


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    complete = commands.add_parser(
        "complete",
        help="split a mesh into closed parts",
        description="Finds the parts of a mesh, or takes those that are given, and closes each. "
        "Cuts are closed flat; hidden surfaces are not reconstructed.",
    )
    add_arguments(complete)
    complete.add_argument(
        "--face-ids",
        type=Path,
        metavar="FILE",
        help="the part of each face, as numpy.save writes it: face_ids.npy of 'segment'",
    )
    complete.set_defaults(command=_run)


def _run(args: argparse.Namespace) -> int:
    from backend.cli.part_run import read_file, run_into_folder

    files = {"file": args.mesh}
    if args.face_ids:
        files["face_ids"] = args.face_ids

    def prepare(folder: Path, settings: Settings) -> dict[str, Path]:
        face_ids = read_file(args.face_ids) if args.face_ids else None
        inputs = {"mesh": read_mesh_into(args.mesh, folder, settings, face_ids)}
        if face_ids is not None:
            inputs["face_ids"] = folder / "face_ids.npy"
            inputs["face_ids"].write_bytes(face_ids)
        return inputs

    return run_into_folder(
        PipelineName.COMPLETE_PARTS, files, mesh_params(args), prepare, args.output, args.server
    )
