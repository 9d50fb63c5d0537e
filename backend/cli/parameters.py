"""Parameters of a pipeline as given on the command line."""

from __future__ import annotations

import argparse
from typing import Any

from backend.errors import FieldProblem, InvalidParameter


def add_param_arguments(parser: argparse.ArgumentParser, example: str = "") -> None:
    """Add ``--param`` and ``--server``, which every command has that runs a pipeline.

    Parameters
    ----------
    example : str
        A parameter and its value, to be named in the help.
    """
    named = f", such as {example}" if example else ""
    parser.add_argument(
        "-p",
        "--param",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help=f"any parameter of the pipeline{named}; repeatable",
    )
    parser.add_argument("--server", metavar="URL", help="submit to a running server instead")


def given_params(args: argparse.Namespace) -> dict[str, Any]:
    """Read ``--preset`` and each ``--param NAME=VALUE``; raises InvalidParameter."""
    params: dict[str, Any] = {"preset": args.preset} if args.preset else {}
    for pair in args.param:
        name, separator, value = pair.partition("=")
        if not separator:
            problem = FieldProblem(f"/params/{name}", "write NAME=VALUE")
            raise InvalidParameter(f"--param {pair}: write NAME=VALUE", fields=(problem,))
        params[name] = value
    return params
