"""The pictures of an earlier job, for new jobs."""

from __future__ import annotations

from backend.errors import FilesExpired, NotFound
from backend.jobs.records import JobRecord
from backend.web.other_views import SIDES
from backend.web.pages.service import job_service


def source_file(job_id: str) -> tuple[str, bytes]:
    """Name and picture of a job; raises NotFound, FilesExpired."""
    source = job_service().store.get(job_id)
    return source.name, source_picture(source)


def source_picture(source: JobRecord) -> bytes:
    """The picture a job was made from; raises FilesExpired when it is gone."""
    return _input_picture(source, "image")


def view_picture(job_id: str, side: str) -> bytes:
    """The picture from another side; raises NotFound, FilesExpired."""
    source = job_service().store.get(job_id)
    if side not in views_of(source):
        raise NotFound("This job was given no such picture.")
    return _input_picture(source, side)


def source_views(job_id: str) -> dict[str, tuple[str | None, bytes]]:
    """Pictures of a job from other sides; raises NotFound, FilesExpired."""
    source = job_service().store.get(job_id)
    return {side: (None, _input_picture(source, side)) for side in views_of(source)}


def views_of(source: JobRecord) -> list[str]:
    """From which other sides a job was given pictures."""
    given = {name.partition(".")[0] for name in source.inputs}
    return [side for side in SIDES if side in given]


def _input_picture(source: JobRecord, stem: str) -> bytes:
    for name in source.inputs:
        path = job_service().artefacts.input_path(source.id, name)
        if name.startswith(f"{stem}.") and path is not None:
            return path.read_bytes()
    raise FilesExpired("The picture of this job was removed.")
