"""The fields of a form for pictures from other sides, and what was chosen in them."""

from __future__ import annotations

from dataclasses import dataclass

from flask import request

from backend.jobs.records import JobRecord
from backend.web.other_views import SIDES, Files
from backend.web.pages.source import source_views, views_of

LEAVE_OUT = "leave_out_view"


@dataclass(frozen=True)
class ViewField:
    """One field.

    Parameters
    ----------
    picture : str or None
        Address of the picture that an earlier job was given from this side.
    """

    side: str
    picture: str | None


def view_fields(source: JobRecord | None) -> list[ViewField]:
    """Return the fields, with the pictures of the job that a form is filled from."""
    known = views_of(source) if source else []
    return [
        ViewField(side, f"/jobs/{source.id}/views/{side}" if source and side in known else None)
        for side in SIDES
    ]


def chosen_views() -> Files:
    """Read the pictures that were chosen in the form."""
    chosen = ((side, request.files.get(side)) for side in SIDES)
    return {side: (file.filename, file.read()) for side, file in chosen if file and file.filename}


def views_of_run(source_job: str) -> Files:
    """Read the views for another run from a job: its own, unless left out, or those chosen now.

    Raises
    ------
    NotFound, FilesExpired
    """
    left_out = request.form.getlist(LEAVE_OUT)
    kept = source_views(source_job).items()
    return {side: file for side, file in kept if side not in left_out} | dict(chosen_views())
