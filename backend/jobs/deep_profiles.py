"""The order to profile the next job in depth, and what came of it, in a folder of the data.

Web and worker share only the folder: ``armed.json`` is the order, and whoever renames it has it.
``<job>/summary.json`` tells how far the profile is; the other files lie beside it.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from backend.catalog import pipeline_spec
from backend.errors import JobTimedOut, NotFound, Refused, WorkerLost
from backend.jobs.access.viewer import acting_as
from backend.jobs.claims import ClaimedJob
from backend.jobs.states import JobState
from backend.jobs.store import JobStore
from backend.profiling.deep_profile import DeepFile, DeepProfile, write_document
from backend.units import iso

KEPT = 10
# Writing follows the end of the job; a trace of many events takes its time.
WRITING = timedelta(minutes=5)
_ARMED = "armed.json"
_JOB_ID = re.compile(r"[0-9a-z]{26}")
_FATAL = frozenset({WorkerLost.code, JobTimedOut.code})
_LOST = {
    "detail": "The worker ended before the profile was written.",
    "advice": "Look at the worker's log, then profile another job.",
}
_NO_WORK = {
    "detail": "The job ended before its work began.",
    "advice": "Profile another job.",
}
_UNWRITTEN = {
    "detail": "The profile could not be written.",
    "advice": "See that the disk of the data folder has room, then profile another job.",
}

log = logging.getLogger(__name__)


class DeepState(StrEnum):
    """What there is to tell of the order, and of each profile."""

    IDLE = "idle"
    ARMED = "armed"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"


class DeepRun:
    """One job that is profiled: ``running`` around its work, ``finish`` when it has ended."""

    def __init__(self, folder: Path, stated: dict[str, Any], profile: DeepProfile) -> None:
        self._folder = folder
        self._stated = stated
        self._profile = profile

    @contextmanager
    def running(self) -> Iterator[None]:
        """Profile the block."""
        with self._profile.running():
            yield

    def finish(self, run: str | None, total_s: float | None) -> None:
        """Write what was found; never raises.

        Parameters
        ----------
        run : str or None
            The recorded run of the job, if it was stored.
        total_s : float or None
            Wall time of the job under the profilers.
        """
        clock = self._profile.clock
        stated = self._stated | {"run": run, "total_s": total_s}
        try:
            found = self._profile.write()
            state = DeepState.FINISHED if found["files"] else DeepState.FAILED
            stated |= found | {"state": state.value}
            if not found["files"] and not found["problems"]:
                stated["problems"] = [_NO_WORK]
        except Exception:
            log.exception("the deep profile of job %s was not written", self._folder.name)
            stated |= {"state": DeepState.FAILED.value, "problems": [_UNWRITTEN]}
        stated["finished_at"] = iso(clock.now())
        with suppress(OSError):
            write_document(self._folder / DeepFile.SUMMARY, stated)
            _drop_old(self._folder.parent)


class DeepProfiles:
    """Orders and results, at most ten.

    Parameters
    ----------
    root : Path
        The folder; made at the first order.
    store : JobStore
        Tells whether a job still runs.
    """

    def __init__(self, root: Path, store: JobStore) -> None:
        self._root = root
        self._store = store

    def arm(self, pipeline: str | None = None) -> None:
        """Profile the next job, of one pipeline or of any.

        Raises
        ------
        InvalidParameter
            There is no such pipeline.
        Refused
            A job is profiled already, or will be.
        """
        if pipeline is not None:
            pipeline_spec(pipeline)
        if any(item["state"] == DeepState.RUNNING for item in self._items()):
            raise Refused("A job is being profiled in depth.", advice="Wait until it has ended.")
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        order = {"pipeline": pipeline, "armed_at": iso(self._store.clock.now())}
        if (self._root / _ARMED).exists() and _read(self._root / _ARMED) is None:
            (self._root / _ARMED).unlink(missing_ok=True)  # damaged
        try:
            _create_whole(self._root / _ARMED, json.dumps(order))
        except FileExistsError as error:
            raise Refused(
                "The next job will be profiled in depth already.",
                advice="Submit a job, or take the order back first.",
            ) from error

    def disarm(self) -> bool:
        """Take the order back; False if there was none, or a job has taken it."""
        try:
            (self._root / _ARMED).unlink()
        except FileNotFoundError:
            return False
        return True

    def claim(self, job: ClaimedJob) -> DeepRun | None:
        """Take the order for a job, if there is one for its pipeline; never raises."""
        try:
            order = _read(self._root / _ARMED)
            if order is None or order.get("pipeline") not in (None, job.pipeline):
                return None
            return self._take(job)
        except OSError:
            log.exception("the order for a deep profile could not be taken")
            return None

    def document(self) -> dict[str, Any]:
        """Tell the state of the order and what was profiled, newest first."""
        order = _read(self._root / _ARMED)
        items = self._items()
        running = next((item for item in items if item["state"] == DeepState.RUNNING), None)
        known = order or running or {}
        idle = DeepState.IDLE if running is None else DeepState.RUNNING
        return {
            "state": (DeepState.ARMED if order is not None else idle).value,
            "pipeline": known.get("pipeline"),
            "armed_at": known.get("armed_at"),
            "job_id": None if order is not None or running is None else running["job_id"],
            "items": items,
        }

    def file(self, job_id: str, name: str) -> Path:
        """Find a file of a profile; raises NotFound. Nothing else becomes a path."""
        if _JOB_ID.fullmatch(job_id) and name in set(DeepFile):
            path = self._root / job_id / DeepFile(name)
            if path.is_file():
                return path
        raise NotFound("There is no such file of a deep profile.")

    def _take(self, job: ClaimedJob) -> DeepRun | None:
        taken = self._root / f".taken-{job.id}"
        try:
            (self._root / _ARMED).rename(taken)
        except FileNotFoundError:  # another worker was faster, or the order was taken back
            return None
        order = _read(taken) or {}
        folder = self._root / job.id
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        profile = DeepProfile(folder, self._store.clock)
        stated: dict[str, Any] = {
            "state": DeepState.RUNNING.value,
            "job_id": job.id,
            "attempt": job.attempt,
            "pipeline": job.pipeline,
            "armed_at": order.get("armed_at"),
            "started_at": iso(self._store.clock.now()),
            "finished_at": None,
            "run": None,
            "total_s": None,
            "files": {},
            "functions": [],
            "sampled_s": None,
            "torch": None,
            "problems": [],
        }
        write_document(folder / DeepFile.SUMMARY, stated)
        _drop_old(self._root)  # here too: a worker that dies never gets to its end
        taken.unlink()
        return DeepRun(folder, stated, profile)

    def _items(self) -> list[dict[str, Any]]:
        found = [_read(folder / DeepFile.SUMMARY) for folder in _folders(self._root)]
        return [self._told(stated) for stated in found if stated and "state" in stated]

    def _told(self, stated: dict[str, Any]) -> dict[str, Any]:
        if stated["state"] == DeepState.RUNNING and self._is_lost(stated):
            return stated | {"state": DeepState.FAILED.value, "problems": [_LOST]}
        return stated

    def _is_lost(self, stated: dict[str, Any]) -> bool:
        """A profile ends with the attempt it watches, or soon after."""
        try:
            with acting_as(None):  # whoever asks, the job is lost or not
                job = self._store.get(stated["job_id"])
        except NotFound:  # its user deleted it
            return True
        if job.attempt != stated["attempt"] or job.status is JobState.QUEUED:
            return True
        if not job.status.is_terminal or job.finished_at is None:
            return False
        ended_so = (job.error or {}).get("code")
        return ended_so in _FATAL or self._store.clock.now() - job.finished_at > WRITING


def _folders(root: Path) -> list[Path]:
    """Folders of profiles, newest job first: identifiers begin with their time."""
    try:
        found = [path for path in root.iterdir() if _JOB_ID.fullmatch(path.name)]
    except FileNotFoundError:
        return []
    return sorted(found, key=lambda path: path.name, reverse=True)


def _drop_old(root: Path) -> None:
    for folder in _folders(root)[KEPT:]:
        shutil.rmtree(folder, ignore_errors=True)


def _create_whole(path: Path, text: str) -> None:
    """Write a file that is there whole or not at all; raises FileExistsError."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent) as file:
        file.write(text)
        file.flush()
        os.link(file.name, path)


def _read(path: Path) -> dict[str, Any] | None:
    """Read a document; None if it is absent or damaged."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        log.warning("%s cannot be read", path, exc_info=True)
        return None
    return document if isinstance(document, dict) else None
