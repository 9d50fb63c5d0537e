"""A client that stops sending or reading must not hold a thread for ever."""

from __future__ import annotations

import contextlib

from flask import Flask, request

IO_TIMEOUT_S = 30.0


def init_time_limits(app: Flask) -> None:
    """Limit every single read and write of a request's socket (gunicorn has no such limit)."""

    @app.before_request
    def limit() -> None:
        connection = request.environ.get("gunicorn.socket")
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.settimeout(IO_TIMEOUT_S)
