"""JSON bodies of small calls: known keys only, and errors that point at the field."""

from __future__ import annotations

from typing import Any

from flask import Request

from backend.errors import FieldProblem, InvalidParameter, MalformedRequest
from backend.web.request_body import parse_json


def body_object(request: Request, known: frozenset[str]) -> dict[str, Any]:
    """Read the body as a JSON object with known keys only; an empty body is an empty object.

    Raises
    ------
    MalformedRequest, InvalidParameter
    """
    data = request.get_data()
    sent = data or request.content_length or request.form or request.files
    if sent and not request.is_json:  # a form that was read already leaves no data behind
        raise MalformedRequest(
            "The content type must be application/json.",
            advice="Send a JSON object with the header Content-Type: application/json.",
        )
    if not data:
        return {}
    body = parse_json(data)
    refuse_unknown(body, known)
    return body


def refuse_unknown(body: dict[str, Any], known: frozenset[str]) -> None:
    """Raise InvalidParameter with a pointer for every key that is not known."""
    unknown = [key for key in body if key not in known]
    if unknown:
        problems = tuple(FieldProblem(f"/{pointer(key)}", "is not known here") for key in unknown)
        raise InvalidParameter(f"{unknown[0][:60]}: is not known here", fields=problems)


def object_at(body: dict[str, Any], key: str) -> dict[str, Any]:
    """Return the object below a key, empty if absent; raises InvalidParameter."""
    value = body.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise wrong_field(key, "must be an object")
    return value


def wrong_field(name: str, detail: str) -> InvalidParameter:
    """Make the error that blames one field."""
    problem = FieldProblem(f"/{pointer(name)}", detail)
    return InvalidParameter(f"{name}: {detail}", fields=(problem,))


def pointer(key: str) -> str:
    """Escape a key for a JSON pointer and keep it short.

    >>> pointer("a/b~c")
    'a~1b~0c'
    """
    return key[:60].replace("~", "~0").replace("/", "~1")
