"""Files of jobs: uploads, the files of a running attempt, published results.

Layout below ``root``: ``<end of id>/<id>/{input,attempt-N,output-N}/``. Identifiers begin with
their time, so the first folder takes the last two characters, which are random. Names are ours.
Each attempt publishes into a folder of its own: the row says which attempt won.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from backend.errors import StorageFull
from backend.jobs.artefacts.made_file import MadeFile, sha256_of
from backend.jobs.records import OutputRecord
from backend.units import MB

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,60}(\.[a-z0-9]{1,8}){1,2}")
JOB_ID = re.compile(r"[0-9a-z]{26}")
_ATTEMPT = re.compile(r"(attempt|publish|output)-(\d+)")


class ArtefactStore:
    """Files in a local folder.

    Parameters
    ----------
    root : Path
        The folder; made when missing.
    disk_floor_mb : int
        Writes are refused with StorageFull when less than this is free.
    """

    def __init__(self, root: Path, disk_floor_mb: int = 500) -> None:
        self.root = root
        self._disk_floor_mb = disk_floor_mb
        root.mkdir(parents=True, exist_ok=True)

    def put_input(self, job_id: str, name: str, data: bytes) -> None:
        """Store an upload: whole or not at all; raises StorageFull."""
        self.check_space()
        target = self._folder(job_id) / "input" / checked_name(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_suffix(".partial")
        try:
            with partial.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise StorageFull(f"The upload could not be stored: {error.strerror}") from error

    def input_path(self, job_id: str, name: str) -> Path | None:
        """Where an upload lies, or None when it is gone."""
        return _existing(self._folder(job_id) / "input", name)

    def copy_inputs(self, source_id: str, target_id: str, names: Sequence[str]) -> bool:
        """Give a new job the uploads of another; False when one is gone."""
        paths = [self.input_path(source_id, name) for name in names]
        if not paths or None in paths:
            return False
        for path in paths:
            if path is not None:
                self.put_input(target_id, path.name, path.read_bytes())
        return True

    def give_input(self, job_id: str, name: str, path: Path) -> None:
        """Let a file of another job be an upload of a new one; raises StorageFull.

        Nothing is copied where the disk can give one file two names: both stay as they are for
        as long as there is one of them.
        """
        self.check_space()
        target = self._folder(job_id) / "input" / checked_name(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, target)
        except OSError:
            self.put_input(job_id, name, path.read_bytes())

    def work_dir(self, job_id: str, attempt: int) -> Path:
        """Make the empty folder of an attempt; raises StorageFull."""
        self.check_space()
        folder = self._folder(job_id) / f"attempt-{attempt}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def publish(
        self, job_id: str, attempt: int, files: Sequence[MadeFile]
    ) -> tuple[OutputRecord, ...]:
        """Move the files of an attempt into place as its result.

        The folder appears under its final name by one rename, so that no half result is seen.
        A worker that has lost its claim cannot touch the result of another attempt.
        """
        folder = self._folder(job_id)
        staged = folder / f"publish-{attempt}"
        shutil.rmtree(staged, ignore_errors=True)
        staged.mkdir()
        records = []
        for file in files:
            target = staged / checked_name(file.name)
            file.path.replace(target)
            records.append(
                OutputRecord(
                    file.name, file.format, file.role, target.stat().st_size, sha256_of(target)
                )
            )
        staged.rename(folder / f"output-{attempt}")
        return tuple(records)

    def withdraw(self, job_id: str, attempt: int) -> None:
        """Remove the result of an attempt that did not win."""
        shutil.rmtree(self._folder(job_id) / f"output-{attempt}", ignore_errors=True)

    def drop_attempt(self, job_id: str, attempt: int) -> None:
        """Remove what an attempt left behind."""
        folder = self._folder(job_id)
        for name in (f"attempt-{attempt}", f"publish-{attempt}"):
            shutil.rmtree(folder / name, ignore_errors=True)

    def output_path(self, job_id: str, attempt: int, name: str) -> Path | None:
        """Where a published file of an attempt lies, or None."""
        return _existing(self._folder(job_id) / f"output-{attempt}", name)

    def live_path(self, job_id: str, attempt: int, name: str) -> Path | None:
        """Where a file of the running attempt lies, or None."""
        return _existing(self._folder(job_id) / f"attempt-{attempt}", name)

    def offer(self, job_id: str, attempt: int, path: Path) -> None:
        """Let other machines see a file of a running attempt; here it lies where all look."""

    def remove(self, job_id: str) -> None:
        """Remove everything of a job."""
        shutil.rmtree(self._folder(job_id), ignore_errors=True)

    def remove_inputs(self, job_id: str) -> None:
        """Remove the uploads of a job."""
        shutil.rmtree(self._folder(job_id) / "input", ignore_errors=True)

    def size_bytes(self, job_id: str) -> int:
        """Bytes of all files of a job; of a file that several jobs share, its share."""
        found = (path.stat() for path in self._folder(job_id).rglob("*") if path.is_file())
        return sum(file.st_size // file.st_nlink for file in found)

    def sizes(self) -> dict[str, int]:
        """Bytes of all files of each job that has any."""
        return {job_id: self.size_bytes(job_id) for job_id in self.job_ids()}

    def job_ids(self) -> Iterator[str]:
        """Every job that has a folder."""
        for folder in self.root.glob("??/*"):
            if JOB_ID.fullmatch(folder.name):
                yield folder.name

    def changed_at(self, job_id: str) -> float | None:
        """When files of a job were last added or removed, seconds since 1970; None if none are."""
        try:
            return self._folder(job_id).stat().st_mtime
        except FileNotFoundError:
            return None

    def attempts(self) -> set[tuple[str, int]]:
        """Every attempt that has files, of whatever kind, as job and number."""
        found = set()
        for folder in self.root.glob("??/*/*-*"):
            match = _ATTEMPT.fullmatch(folder.name)
            if match and JOB_ID.fullmatch(folder.parent.name):
                found.add((folder.parent.name, int(match[2])))
        return found

    def free_mb(self) -> int:
        """Free space of the disk in MB."""
        return shutil.disk_usage(self.root).free // MB

    def check_space(self) -> None:
        """Raise StorageFull below the floor."""
        free_mb = self.free_mb()
        if free_mb < self._disk_floor_mb:
            raise StorageFull(f"Only {free_mb} MB are free.", retry_after_s=600)

    def forget_attempt(self, job_id: str, attempt: int) -> None:
        """Remove everything of an attempt that was lost."""
        self.drop_attempt(job_id, attempt)
        self.withdraw(job_id, attempt)

    def _folder(self, job_id: str) -> Path:
        return self.root / job_place(job_id)


def job_place(job_id: str) -> str:
    """Return the folder of a job below the root; raises ValueError for what is no id."""
    if not JOB_ID.fullmatch(job_id):
        raise ValueError(f"{job_id!r} is not a job id")
    return f"{job_id[-2:]}/{job_id}"


def checked_name(name: str) -> str:
    """Return the name; raises ValueError unless it is one of ours."""
    if not is_our_name(name):
        raise ValueError(f"{name!r} is not a file name of ours")
    return name


def is_our_name(name: str) -> bool:
    """Whether a file can be called so."""
    return _NAME.fullmatch(name) is not None


def _existing(folder: Path, name: str) -> Path | None:
    if not is_our_name(name):
        return None
    path = folder / name
    return path if path.is_file() else None
