"""What was pulled from the hub, kept beside the files."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from backend.errors import WeightsDamaged
from backend.models.checkpoints.atomic_file import written_whole

FILE_NAME = "pulled.json"


@dataclass(frozen=True)
class PulledFile:
    """A file as the hub gave it.

    Parameters
    ----------
    path : str
        In the repository.
    sha256 : str
        In hexadecimal digits.
    """

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class PullRecord:
    """What was pulled.

    Parameters
    ----------
    revision : str
        Commit of the repository.
    at : str
        RFC 3339, UTC.
    """

    model: str
    repository: str
    revision: str
    at: str
    files: tuple[PulledFile, ...]

    def write(self, folder: Path) -> None:
        """Write it to a folder."""
        with written_whole(folder / FILE_NAME) as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=1) + "\n")


def read_record(folder: Path) -> PullRecord | None:
    """Return what was pulled to a folder, None when nobody recorded that.

    Raises
    ------
    WeightsDamaged
        The record cannot be read.
    """
    path = folder / FILE_NAME
    try:
        raw = json.loads(path.read_text())
        files = tuple(_file(row) for row in raw.pop("files"))
        return PullRecord(**raw, files=files)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsDamaged(
            f"{path} cannot be read.", advice="Delete it and pull the model again."
        ) from error


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits; a missing one raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _file(row: dict[str, Any]) -> PulledFile:
    return PulledFile(str(row["path"]), int(row["size_bytes"]), str(row["sha256"]))
