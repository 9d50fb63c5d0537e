"""Errors as documents, to be kept with a job or told to another process, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from backend.errors import InternalError, MeshkilnError


def error_document(error: MeshkilnError) -> dict[str, Any]:
    """The ``error`` of a failed job."""
    return {
        "code": error.code,
        "title": error.title,
        "detail": error.detail,
        "advice": error.advice,
        "retryable": error.retryable,
    }


def error_of(document: Mapping[str, Any]) -> MeshkilnError:
    """Make an error again from what another process wrote of it.

    Parameters
    ----------
    document : mapping
        With ``code``, ``detail`` and ``advice``; an unknown code becomes an InternalError.
    """
    kinds = {kind.code: kind for kind in _kinds(MeshkilnError) if not kind.__subclasses__()}
    kind = kinds.get(str(document.get("code")), InternalError)
    return kind(str(document.get("detail") or ""), advice=document.get("advice"))


def _kinds(base: type[MeshkilnError]) -> Iterator[type[MeshkilnError]]:
    for kind in base.__subclasses__():
        yield kind
        yield from _kinds(kind)
