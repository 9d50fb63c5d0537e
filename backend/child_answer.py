"""What a process that reads one upload answers: facts, or the problem with the file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backend.errors import MeshkilnError, StorageFull


def facts_or_problem(
    read: Callable[[], dict[str, Any]], name: str, too_large: type[MeshkilnError]
) -> dict[str, Any]:
    """Read and give ``{"facts": …}``, or ``{"problem": {"code", "detail", "advice", "fields"}}``.

    Parameters
    ----------
    read : callable
        Reads the upload, writes it anew and returns facts.
    name : str
        What was uploaded, as in "the mesh".
    too_large : type of MeshkilnError
        Told when it takes more memory than is allowed.
    """
    try:
        return {"facts": read()}
    except MeshkilnError as error:
        return _problem(error)
    except OSError as error:
        return _problem(StorageFull(f"{name.capitalize()} could not be stored: {error.strerror}"))
    except MemoryError:
        return _problem(too_large("Reading it takes more memory than is allowed."))


def _problem(error: MeshkilnError) -> dict[str, Any]:
    problem = {"code": error.code, "detail": _printable(error.detail), "advice": error.advice}
    return {"problem": {**problem, "fields": [field.pointer for field in error.fields]}}


def _printable(text: str) -> str:
    """Replace what would steer a terminal: details may quote names from the file."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)
