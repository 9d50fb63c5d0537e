"""``batch``: a model of every picture of a folder, here or on a running server."""

from __future__ import annotations

import argparse
from pathlib import Path

from backend import catalog
from backend.cli.parameters import add_param_arguments


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    batch = commands.add_parser(
        "batch",
        help="make a model of every picture of a folder",
        description="Makes a model of every picture of a folder. Stopped and started again with "
        "the same arguments, it goes on with what is missing; what failed is tried again. A "
        "server that asks for a key finds it in the variable MESHKILN_KEY.",
    )
    batch.add_argument("folder", type=Path, metavar="DIR", help="PNG, JPEG and WebP files")
    batch.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="OUT",
        help="results go to OUT/<name of the picture>/",
    )
    batch.add_argument("--preset", choices=[one.value for one in catalog.Preset])
    add_param_arguments(batch)
    batch.set_defaults(command=_run)


def _run(args: argparse.Namespace) -> int:
    from backend.cli.batch_run import run_batch

    return run_batch(args)
