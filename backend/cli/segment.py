"""``segment``: a mesh becomes numbered parts, here or on a running server."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from backend.catalog import MAX_PARTS, PipelineName
from backend.cli.parameters import add_param_arguments
from backend.settings import Settings


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    segment = commands.add_parser(
        "segment",
        help="split a mesh into parts",
        description="Finds the parts of a mesh from its shape. They are numbered, not named, and "
        "left as they were cut; the command 'complete' closes them.",
    )
    add_arguments(segment)
    segment.set_defaults(command=_run)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what all commands on meshes take."""
    parser.add_argument("mesh", type=Path, help="GLB, glTF with everything inside, OBJ, PLY or STL")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="OUT",
        help="folder for the files; made if it is not there",
    )
    parser.add_argument(
        "--parts",
        type=int,
        metavar="N",
        help=f"number of parts, 1 to {MAX_PARTS}; as the engine suggests if absent",
    )
    parser.add_argument("--seed", type=int)
    add_param_arguments(parser, "granularity=0.7")
    parser.set_defaults(preset=None)


def mesh_params(args: argparse.Namespace) -> dict[str, Any]:
    """Read the parameters that were given; raises InvalidParameter."""
    from backend.cli.parameters import given_params

    named = {"part_count": args.parts, "seed": args.seed}
    return {name: value for name, value in named.items() if value is not None} | given_params(args)


def _run(args: argparse.Namespace) -> int:
    from backend.cli.part_run import run_into_folder
    from backend.web.mesh_inputs import inputs_of_mesh

    def prepare(folder: Path, settings: Settings) -> dict[str, Path]:
        return inputs_of_mesh(args.mesh, folder, settings)

    return run_into_folder(
        PipelineName.SEGMENT_PARTS,
        {"file": args.mesh},
        mesh_params(args),
        prepare,
        args.output,
        args.server,
    )
