"""Every error as problem+json, or as a page when a browser asks."""

from __future__ import annotations

import json
import logging
from typing import Any

from flask import Flask, Response, g, make_response, render_template, request
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import HTTPException
from wsproto.utilities import RemoteProtocolError

from backend.errors import (
    InternalError,
    MalformedRequest,
    MeshkilnError,
    MethodNotAllowed,
    NotFound,
    UploadTooLarge,
)

CONTENT_TYPE = "application/problem+json"

log = logging.getLogger(__name__)


def install(app: Flask) -> None:
    """Turn all errors of an app into problems."""
    app.register_error_handler(MeshkilnError, _ours)
    app.register_error_handler(HTTPException, _of_the_framework)
    app.register_error_handler(RemoteProtocolError, _bad_handshake)
    app.register_error_handler(ParseException, _bad_body)
    app.register_error_handler(Exception, _unexpected)


def problem_document(error: MeshkilnError) -> dict[str, Any]:
    """The problem document of an error (RFC 9457 with our additions)."""
    return {
        "type": f"/docs/problems#{error.code}",
        "title": error.title,
        "status": error.http_status,
        "detail": error.detail,
        "instance": request.path,
        "code": error.code,
        "advice": error.advice,
        "errors": [{"pointer": f.pointer, "detail": f.detail} for f in error.fields],
        "retry_after": error.retry_after_s,
        "request_id": g.get("request_id"),
    }


def problem_response(error: MeshkilnError, **changes: Any) -> Response:
    """The answer to a request that failed; ``changes`` replace members of the document."""
    problem = problem_document(error) | changes
    if wants_html():
        response = make_response(render_template("pages/problem.html", problem=problem))
    else:
        response = make_response(json.dumps(problem))
        response.content_type = CONTENT_TYPE
    response.status_code = problem["status"]
    if error.retry_after_s:
        response.headers["Retry-After"] = str(error.retry_after_s)
    if response.status_code == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="Meshkiln"'
    if response.status_code == 413:
        response.headers["Connection"] = "close"
    return response


def wants_html() -> bool:
    """Whether the answer is for a person in a browser."""
    if request.path.startswith(("/api/", "/ws/", "/healthz", "/readyz", "/openapi")):
        return "HX-Request" in request.headers
    best = request.accept_mimetypes.best_match([CONTENT_TYPE, "application/json", "text/html"])
    return best == "text/html" or "HX-Request" in request.headers


def _ours(error: MeshkilnError) -> Response:
    return problem_response(error)


def _of_the_framework(error: HTTPException) -> Any:
    known: dict[int, type[MeshkilnError]] = {
        400: MalformedRequest,
        404: NotFound,
        405: MethodNotAllowed,
        413: UploadTooLarge,
    }
    code = error.code or 500
    if code < 400 or error.response is not None:
        return error
    detail = error.description or ""
    if code in known:
        response = problem_response(known[code](detail if code == 400 else ""))
    elif code < 500:  # such as 416: the status tells more than any of ours
        name = error.name.lower().replace(" ", "-")
        response = problem_response(
            MalformedRequest(detail), status=code, title=error.name, code=name, advice=""
        )
    else:
        response = problem_response(InternalError())
    for name in ("Allow", "Content-Range", "Retry-After"):
        if name in error.get_response().headers:
            response.headers[name] = error.get_response().headers[name]
    return response


def _bad_handshake(_error: RemoteProtocolError) -> Response:
    return problem_response(MalformedRequest("The WebSocket handshake is not valid."))


def _bad_body(_error: ParseException) -> Response:
    """Answer a body in chunks that are none; what follows on the connection means nothing."""
    response = problem_response(MalformedRequest("The chunks of the body are not valid."))
    response.headers["Connection"] = "close"
    return response


def _unexpected(error: Exception) -> Response:
    log.error("request %s failed: %s", g.get("request_id"), error, exc_info=error)
    return problem_response(InternalError())
