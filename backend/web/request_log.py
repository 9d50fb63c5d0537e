"""One JSON line per request. JSON escapes line breaks, so nothing sent can forge a line."""

from __future__ import annotations

import json
import logging
import time
from datetime import UTC, datetime
from typing import Any

from flask import Flask, Response, g, request

from backend.units import iso

log = logging.getLogger("meshkiln.request")
_SHOWN = 300


class JsonFormatter(logging.Formatter):
    """Writes a record as one line of JSON: ts, level, logger, message, and what ``extra`` holds."""

    def format(self, record: logging.LogRecord) -> str:
        """Write the line."""
        line: dict[str, Any] = {
            "ts": iso(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def logging_config(level: str) -> dict[str, Any]:
    """Configuration for ``logging.config.dictConfig``: everything as JSON on standard error."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "backend.web.request_log.JsonFormatter"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
        "root": {"level": level.upper(), "handlers": ["stderr"]},
        "loggers": {
            "gunicorn.error": {"level": level.upper(), "handlers": [], "propagate": True},
            "gunicorn.access": {"level": "CRITICAL", "handlers": [], "propagate": False},
        },
    }


def init_request_log(app: Flask) -> None:
    """Log every request of the app."""

    @app.before_request
    def start() -> None:
        g.started_s = time.perf_counter()

    @app.after_request
    def finish(response: Response) -> Response:
        log.info("request", extra={"fields": _fields(response)})
        return response


def _fields(response: Response) -> dict[str, Any]:
    started_s = getattr(g, "started_s", None)
    elapsed_ms = None if started_s is None else round(1000 * (time.perf_counter() - started_s), 1)
    return {
        "method": request.method[:16],
        "path": _path(),
        "status": response.status_code,
        "ms": elapsed_ms,
        "client": request.remote_addr,
        "request_id": g.get("request_id"),
        "agent": request.headers.get("User-Agent", "")[:_SHOWN],
    }


def _path() -> str:
    """Return the path without what would open something to whoever reads the log."""
    token = (request.view_args or {}).get("token")
    return (request.path.replace(str(token), "(token)") if token else request.path)[:_SHOWN]
