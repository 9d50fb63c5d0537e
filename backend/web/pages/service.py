"""The job service of the running app."""

from __future__ import annotations

from flask import current_app

from backend.jobs.service import JobService


def job_service() -> JobService:
    """Return the service that ``create_app`` was given."""
    service: JobService = current_app.extensions["meshkiln"]
    return service
