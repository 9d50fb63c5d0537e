"""The app factory: ``gunicorn 'backend.web.app:create_app()'``.

This process never imports torch or a mesh library: it starts in well under a second.
"""

from __future__ import annotations

import re
from pathlib import Path

from flask import Flask, Response

from backend.jobs.service import JobService
from backend.settings import Settings
from backend.units import MB
from backend.web import events_sse, gpu_socket, large_uploads, pages, problems, security, sockets
from backend.web.access import guard, login, share_forms, share_page, shares
from backend.web.api import (
    batches,
    deep_profiles,
    files,
    gpu,
    gpu_control,
    gpu_history,
    health,
    jobs,
    metrics,
    models,
    openapi,
    part_picks,
    parts,
    performance,
    performance_runs,
    recommendation_actions,
    report,
    speech,
    textures,
    webhooks,
)
from backend.web.live_connections import LiveConnections
from backend.web.request_log import init_request_log
from backend.web.socket_conduct import SOCKET_OPTIONS
from backend.web.static_compression import StaticCompression

FRONTEND = Path(__file__).resolve().parents[2] / "frontend"
MAX_FORM_PARTS = 100
YEAR_S = 365 * 24 * 3600
_VERSIONED = re.compile(r"vendor/(?:.*[/@-])?v?\d+\.\d+(?:\.\d+)?[/.-].*")


class Meshkiln(Flask):
    """Flask, with compressed static files, those with a version in the path cached for long."""

    def send_static_file(self, filename: str) -> Response:
        """Send a static file, compressed if the client takes it so."""
        compression: StaticCompression = self.extensions["meshkiln.static"]
        return compression.apply(super().send_static_file(filename))

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
    app.config["SOCK_SERVER_OPTIONS"] = SOCKET_OPTIONS
    app.extensions["meshkiln"] = service or JobService(settings)
    app.extensions["meshkiln.live"] = LiveConnections(settings)
    app.extensions["meshkiln.static"] = StaticCompression()
    problems.install(app)
    init_request_log(app)
    large_uploads.install(app, settings, settings.data_dir / "incoming")
    security.install(app, settings)
    guard.install(app, settings)
    for module in (
        jobs, files, events_sse, gpu, gpu_control, gpu_history, performance, performance_runs,
        recommendation_actions, deep_profiles, report, metrics, health, openapi, pages, sockets,
        gpu_socket, batches, login, shares, share_forms, share_page, webhooks, parts, part_picks,
        textures, models, speech,
    ):  # fmt: skip
        app.register_blueprint(module.blueprint)
    return app
