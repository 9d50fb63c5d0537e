"""Parameters of a pipeline as given on the command line."""

from __future__ import annotations

import argparse
from typing import Any

from backend.errors import FieldProblem, InvalidParameter


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
