"""The parts of jobs: what the API and the pages ask for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.errors import FilesExpired, JobNotFinished, NotFound
from backend.jobs.parts.division import Division
from backend.jobs.parts.documents import parts_document
from backend.jobs.parts.edits import Edit, Editing, EditLog
from backend.jobs.parts.face_ids import FaceIds, face_ids
from backend.jobs.parts.history import history_document
from backend.jobs.parts.tree_file import TreeFile, read_tree_file
from backend.jobs.parts.versions import (
    FIRST,
    KeptVersion,
    PartVersion,
    PartVersions,
    check_is_latest,
)
from backend.jobs.records import JobRecord, output_document
from backend.jobs.service import JobService
from backend.jobs.states import JobState

TREE_ROLE = "part_tree"
DATA_ROLE = "part_tree_data"
FILE_ROLES = frozenset({"part_glb", "part_stl"})


@dataclass(frozen=True)
class PartsOfJob:
    """A version of the parts of a job."""

    job: JobRecord
    tree: TreeFile
    division: Division
    version: PartVersion

    def document(self) -> dict[str, Any]:
        """Return it as in the HTTP contract."""
        files: dict[str, list[dict[str, Any]]] = {}
        for output in self.job.outputs:
            if output.role in FILE_ROLES:
                name = output.name.rpartition(".")[0]
                files.setdefault(name, []).append(output_document(self.job.id, output))
        return parts_document(
            self.tree, self.division, self.version.number, self.version.log, files
        )


class PartsService:
    """Parts of the jobs that a request may see.

    Parameters
    ----------
    service : JobService
        Jobs and their files.
    """

    def __init__(self, service: JobService) -> None:
        self._service = service
        self._versions = PartVersions(service.store.engine, service.clock)

    def look(self, job_id: str, number: int | None = None) -> PartsOfJob:
        """Look up a version of the parts of a job, the latest by default.

        Raises
        ------
        NotFound, JobNotFinished, FilesExpired
        """
        job = self._service.store.get(job_id)
        tree = read_tree_file(self._file(job, TREE_ROLE))
        version = self._versions.latest(job_id)
        if number is not None and number != version.number:
            version = self._versions.find(job_id, number)
        return PartsOfJob(job, tree, version.log.replayed(tree.division), version)

    def change(self, job_id: str, edited: int | None, edit: Edit) -> PartsOfJob:
        """Make a new version by an edit.

        Parameters
        ----------
        edited : int or None
            The version that the caller has seen; None takes the latest, whichever that is.

        Raises
        ------
        NotFound, JobNotFinished, FilesExpired, StaleVersion, InvalidParameter
        """
        job = self._service.store.get(job_id)
        tree = read_tree_file(self._file(job, TREE_ROLE))
        latest = self._versions.latest(job_id)
        if edited is not None:
            check_is_latest(latest.number, edited)
        editing = Editing(tree.division, latest.log)
        editing.change(edit)
        version = self._versions.add(job_id, latest.number, editing.log)
        return PartsOfJob(job, tree, editing.division, version)

    def versions(self, job_id: str) -> dict[str, Any]:
        """List the versions that are kept, the newest first.

        Raises
        ------
        NotFound, JobNotFinished, FilesExpired
        """
        job = self._service.store.get(job_id)
        division = read_tree_file(self._file(job, TREE_ROLE)).division
        first = KeptVersion(FIRST, EditLog(), job.finished_at)
        return history_document(division, [first, *self._versions.kept(job_id)])

    def face_ids(self, job_id: str, number: int) -> tuple[PartsOfJob, FaceIds]:
        """Return a version and the part of each face in it."""
        parts = self.look(job_id, number)
        path = self._file(parts.job, DATA_ROLE)
        return parts, face_ids(path, parts.division.patch_parts)

    def _file(self, job: JobRecord, role: str) -> Path:
        name = next((output.name for output in job.outputs if output.role == role), None)
        if name is None:
            if not job.status.is_terminal:
                raise JobNotFinished(f"The job is {job.status}; its parts are not there yet.")
            if job.status is JobState.EXPIRED:
                raise FilesExpired
            raise NotFound("This job has no parts.")
        path = self._service.artefacts.output_path(job.id, job.attempt, name)
        if path is None:
            raise FilesExpired
        return path
