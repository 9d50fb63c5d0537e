"""The files of a running job that can be looked at already, as outputs of its document.

The row of a job has its outputs when it has ended. Whoever opens the page in between would see
nothing until the next file is written.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from backend.errors import MeshkilnError
from backend.jobs.artefacts.made_file import sha256_of
from backend.jobs.records import JobRecord, OutputRecord, job_document, output_document
from backend.jobs.service import JobService
from backend.jobs.states import JobState

RUNNING = frozenset({JobState.RUNNING, JobState.CANCELING})
# Those that are offered while a job runs, by the role they have.
OFFERED = (("mask.png", "mask"), ("cutout.png", "cutout"), ("preview.glb", "preview"))
KNOWN_FILES = 64


def document_now(service: JobService, job: JobRecord) -> dict[str, Any]:
    """Return the document of a job with the files that its running attempt has written."""
    document = job_document(job)
    if job.status in RUNNING and not job.outputs:
        found = (_offered(service, job, name, role) for name, role in OFFERED)
        document["outputs"] = [output for output in found if output is not None]
    return document


def _offered(service: JobService, job: JobRecord, name: str, role: str) -> dict[str, Any] | None:
    try:
        path = service.artefacts.live_path(job.id, job.attempt, name)
        if path is None:
            return None
        size, changed_ns = path.stat().st_size, path.stat().st_mtime_ns
        digest = _digest(path, size, changed_ns)
    except (OSError, MeshkilnError):
        return None  # it has just been moved to where the results are, or the store is away
    record = OutputRecord(name, name.rpartition(".")[2], role, size, digest)
    return output_document(job.id, record)


@lru_cache(maxsize=KNOWN_FILES)
def _digest(path: Path, size: int, changed_ns: int) -> str:
    """Hash a file once for all who look at it."""
    return sha256_of(path)
