"""The app factory: ``gunicorn 'backend.web.app:create_app()'``.

This process never imports torch or a mesh library: it starts in well under a second.
"""

from __future__ import annotations

import re
from pathlib import Path

from flask import Flask

from backend.jobs.service import JobService
from backend.settings import Settings
from backend.units import MB
from backend.web import events_sse, pages, problems, security
from backend.web.api import (
    files,
    gpu,
    gpu_control,
    health,
    jobs,
    metrics,
    openapi,
    performance,
    performance_runs,
    report,
)
from backend.web.live_connections import LiveConnections
from backend.web.request_log import init_request_log
from backend.web.sockets import init_sockets

FRONTEND = Path(__file__).resolve().parents[2] / "frontend"
MAX_FORM_PARTS = 100
YEAR_S = 365 * 24 * 3600
_VERSIONED = re.compile(r"vendor/(?:.*[/@-])?v?\d+\.\d+(?:\.\d+)?[/.-].*")


class Meshkiln(Flask):
    """Flask, with long caching for vendored files that carry their version in the path."""

    def get_send_file_max_age(self, filename: str | None) -> int | None:
        """Return seconds a static file may be kept; None means ask with its ETag."""
        return YEAR_S if filename and _VERSIONED.fullmatch(filename) else None


def create_app(settings: Settings | None = None, service: JobService | None = None) -> Flask:
    """Build the app.

    Parameters
    ----------
    settings : Settings, optional
        From the environment if absent.
    service : JobService, optional
        Made from the settings if absent; ``app.extensions["meshkiln"]``.
    """
    if settings is None:
        settings = service.settings if service else Settings.from_env()
    app = Meshkiln(
        "meshkiln",
        static_folder=str(FRONTEND / "static"),
        template_folder=str(FRONTEND / "templates"),
        root_path=str(FRONTEND),
    )
    app.config["MAX_CONTENT_LENGTH"] = settings.max_upload_mb * MB
    app.config["MAX_FORM_PARTS"] = MAX_FORM_PARTS
    app.extensions["meshkiln"] = service or JobService(settings)
    app.extensions["meshkiln.live"] = LiveConnections(settings)
    problems.install(app)
    init_request_log(app)
    security.install(app, settings)
    for module in (
        jobs, files, events_sse, gpu, gpu_control, performance, performance_runs, report, metrics,
        health, openapi, pages,
    ):  # fmt: skip
        app.register_blueprint(module.blueprint)
    init_sockets(app)
    return app
