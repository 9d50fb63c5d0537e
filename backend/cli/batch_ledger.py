"""What a batch on the command line has done already, kept beside its results.

The command may be stopped at any time: started again, it goes on with what is missing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any

from backend.errors import InvalidParameter, MissingFile
from backend.jobs.batches.folder_names import FolderNames

FILE_NAME = "meshkiln-batch.json"
PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp"})
MAX_NAME = 200


class Outcome(StrEnum):
    """What became of a picture so far."""

    OPEN = "open"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True)
class Picture:
    """A picture of the folder; ``name`` is its path below it, with '/'."""

    name: str
    path: Path
    fingerprint: str
    """SHA-256 of its content and of the parameters."""
    size_bytes: int


@dataclass
class Entry:
    """What is known of one picture."""

    fingerprint: str
    folder: str
    outcome: Outcome = Outcome.OPEN
    tries: int = 0
    job_id: str | None = None
    files: list[str] = field(default_factory=list)
    error: str | None = None


class Ledger:
    """The file in which outcomes are kept.

    Parameters
    ----------
    out_dir : Path
        Folder of the results; made when missing.
    """

    def __init__(self, out_dir: Path) -> None:
        self.out_dir = out_dir
        self.entries: dict[str, Entry] = {}
        self.sent: dict[str, dict[str, str]] = {}
        """Batches on a server that are not all fetched: address to names with fingerprints."""
        self._path = out_dir / FILE_NAME
        self._folders = FolderNames()
        out_dir.mkdir(parents=True, exist_ok=True)
        if self._path.exists():
            self._load()

    def add(self, pictures: Iterable[Picture]) -> list[Picture]:
        """Note pictures; returns those whose results are not there yet.

        One that has changed since, or is to be made with other parameters, is made anew. One that
        failed is tried again.
        """
        todo = []
        for picture in pictures:
            entry = self.entries.get(picture.name)
            if entry is None:
                stem = str(PurePosixPath(picture.name).with_suffix(""))
                entry = Entry(picture.fingerprint, self._folders.take(stem))
                self.entries[picture.name] = entry
            elif entry.fingerprint != picture.fingerprint:
                self.entries[picture.name] = entry = Entry(picture.fingerprint, entry.folder)
            if not self._is_done(entry):
                entry.outcome = Outcome.OPEN
                todo.append(picture)
        self.save()
        return todo

    def folder(self, name: str) -> Path:
        """Make the folder for the results of a picture."""
        path = self.out_dir / self.entries[name].folder
        path.mkdir(parents=True, exist_ok=True)
        return path

    def succeed(self, name: str, files: Sequence[str], job_id: str | None = None) -> None:
        """Note the results of a picture."""
        entry = self.entries[name]
        entry.outcome, entry.error = Outcome.SUCCEEDED, None
        entry.files, entry.job_id = list(files), job_id
        self.save()

    def fail(self, name: str, error: str, job_id: str | None = None) -> None:
        """Note why there is no result."""
        entry = self.entries[name]
        entry.outcome, entry.error, entry.job_id = Outcome.FAILED, error, job_id
        entry.tries += 1
        self.save()

    def key(self, pictures: Sequence[Picture]) -> str:
        """Return the idempotency key with which pictures are sent.

        It is the same when the command was stopped before it heard that they had arrived, and
        another one for another try of what failed.
        """
        told = [[p.name, p.fingerprint, self.entries[p.name].tries] for p in pictures]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()

    def save(self) -> None:
        """Write the file: whole or not at all."""
        document = {
            "version": 1,
            "sent": self.sent,
            "pictures": {name: asdict(entry) for name, entry in self.entries.items()},
        }
        partial = self._path.with_suffix(".partial")
        partial.write_text(json.dumps(document, indent=1))
        partial.replace(self._path)

    def _is_done(self, entry: Entry) -> bool:
        folder = self.out_dir / entry.folder
        return entry.outcome is Outcome.SUCCEEDED and all(
            (folder / name).is_file() for name in entry.files
        )

    def _load(self) -> None:
        try:
            document: dict[str, Any] = json.loads(self._path.read_text())
            self.sent = {url: dict(named) for url, named in document["sent"].items()}
            for name, values in document["pictures"].items():
                entry = Entry(**values)
                entry.outcome = Outcome(entry.outcome)
                self.entries[name] = entry
                self._folders.take(entry.folder)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise InvalidParameter(
                f"{self._path} cannot be read.",
                advice="Choose another output folder, or delete that file to begin anew.",
            ) from error


def find_pictures(folder: Path, out_dir: Path, params: dict[str, Any]) -> list[Picture]:
    """List the pictures of a folder and its folders, in the order of their names.

    Hidden files, and results that lie inside the folder, are left out.

    Raises
    ------
    MissingFile
        There are none.
    """
    if not folder.is_dir():
        raise MissingFile(f"{folder} is no folder.", advice="Check the path.")
    results = out_dir.resolve()
    found = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in PICTURES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and results not in path.resolve().parents
    ]
    if not found:
        known = ", ".join(sorted(PICTURES))
        raise MissingFile(f"{folder} holds no picture.", advice=f"Pictures end with {known}.")
    return [_picture(path, folder, params) for path in found]


def _picture(path: Path, folder: Path, params: dict[str, Any]) -> Picture:
    name = path.relative_to(folder).as_posix()
    if len(name) > MAX_NAME:
        raise InvalidParameter(f"{name[:60]}… has a name of more than {MAX_NAME} characters.")
    digest = hashlib.sha256(json.dumps(params, sort_keys=True).encode())
    try:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    except OSError as error:
        raise MissingFile(f"{path}: {error.strerror}", advice="Check the path.") from error
    return Picture(name, path, digest.hexdigest(), path.stat().st_size)
