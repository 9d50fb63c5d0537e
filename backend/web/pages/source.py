"""The picture of an earlier job, for new jobs."""

from __future__ import annotations

from backend.errors import FilesExpired
from backend.jobs.records import JobRecord
from backend.web.pages.service import job_service


def source_file(job_id: str) -> tuple[str, bytes]:
    """Name and picture of a job; raises NotFound, FilesExpired."""
    source = job_service().store.get(job_id)
    return source.name, source_picture(source)


def source_picture(source: JobRecord) -> bytes:
    """The picture a job was made from; raises FilesExpired when it is gone."""
    for name in source.inputs:
        path = job_service().artefacts.input_path(source.id, name)
        if name.startswith("image.") and path is not None:
            return path.read_bytes()
    raise FilesExpired("The picture of this job was removed.")
