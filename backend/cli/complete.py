"""``complete``: the parts of a mesh become closed meshes, here or on a running server."""

from __future__ import annotations

import argparse
from pathlib import Path

from backend.catalog import PipelineName
from backend.cli.segment import add_arguments, mesh_params
from backend.settings import Settings


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    complete = commands.add_parser(
        "complete",
        help="split a mesh into closed parts",
        description="Finds the parts of a mesh, or takes those that are given, and closes each. "
        "What was hidden is made up by xpart where its weights are here; else cuts are closed "
        "flat.",
    )
    add_arguments(complete)
    complete.add_argument(
        "--face-ids",
        type=Path,
        metavar="FILE",
        help="the part of each face, as numpy.save writes it: face_ids.npy of 'segment'",
    )
    complete.add_argument(
        "--boxes",
        type=Path,
        metavar="FILE",
        help="the boxes of the parts as JSON: boxes.json of 'segment', or changed by hand",
    )
    complete.set_defaults(command=_run)


def _run(args: argparse.Namespace) -> int:
    from backend.cli.part_run import read_file, run_into_folder
    from backend.web.mesh_inputs import inputs_of_mesh

    sent = {"file": args.mesh, "face_ids": args.face_ids, "boxes": args.boxes}
    files = {name: path for name, path in sent.items() if path}

    def prepare(folder: Path, settings: Settings) -> dict[str, Path]:
        face_ids = read_file(args.face_ids) if args.face_ids else None
        boxes = read_file(args.boxes) if args.boxes else None
        return inputs_of_mesh(args.mesh, folder, settings, face_ids, boxes)

    return run_into_folder(
        PipelineName.COMPLETE_PARTS, files, mesh_params(args), prepare, args.output, args.server
    )
