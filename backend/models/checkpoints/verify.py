"""Checks the files of a model against what its networks need. Imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from backend.errors import MeshkilnError
from backend.models.checkpoints.checkpoint import (
    Checkpoint,
    PartCheckpoint,
    PictureCheckpoint,
)
from backend.models.checkpoints.components import check_component, check_numbers
from backend.models.checkpoints.pull_record import PulledFile, PullRecord, sha256_of
from backend.models.checkpoints.reading import TensorFile, open_tensors
from backend.models.checkpoints.tensor_check import TensorFinding


class FileState(StrEnum):
    """How a file compares with what the hub gave."""

    SAME = "same"
    CHANGED = "changed"
    MISSING = "missing"


@dataclass(frozen=True)
class FileCheck:
    """A file that was pulled, compared with the record."""

    path: str
    state: FileState


@dataclass(frozen=True)
class Verification:
    """What came of checking a model.

    Parameters
    ----------
    tensors : int
        Found in its files, of all components.
    findings : tuple of TensorFinding
        Tensors that are not as they should be.
    errors : tuple of MeshkilnError
        Files and descriptions that could not be read.
    files : tuple of FileCheck or None
        None when nobody recorded what was pulled, so that there is nothing to compare with.
    notes : tuple of str
        What was taken for granted, in sentences; no defects.
    """

    tensors: int
    findings: tuple[TensorFinding, ...]
    errors: tuple[MeshkilnError, ...]
    files: tuple[FileCheck, ...] | None
    notes: tuple[str, ...] = ()

    @property
    def is_good(self) -> bool:
        """Whether the model can be loaded and is what was pulled."""
        changed = any(check.state is not FileState.SAME for check in self.files or ())
        return not (self.findings or self.errors or changed)


def verify(
    checkpoint: Checkpoint,
    record: PullRecord | None = None,
    root: Path | None = None,
) -> Verification:
    """Check presence, shape, type and numbers of every tensor, and the files against the record.

    Networks are built without memory; weights are looked through piece by piece for what is no
    number.

    Parameters
    ----------
    record : PullRecord, optional
    root : Path, optional
        Where the paths of the record begin; the folder of the checkpoint if absent.
    """
    files: dict[Path, TensorFile] = {}
    errors: list[MeshkilnError] = []
    for path in checkpoint.weight_files:
        try:
            files[path] = open_tensors(path)
        except MeshkilnError as error:
            errors.append(error)
    findings: list[TensorFinding] = []
    for component, source in checkpoint.components.items():
        file = files.get(source.file)
        if file is None:
            continue
        try:
            findings.extend(check_component(checkpoint, component, file))
            findings.extend(check_numbers(checkpoint, component, file))
        except MeshkilnError as error:
            errors.append(error)
    return Verification(
        tensors=sum(len(file.entries) for file in files.values()),
        findings=tuple(findings),
        errors=tuple(errors),
        files=None if record is None else _compared(record, root or checkpoint.folder),
        notes=_notes(checkpoint),
    )


def _notes(checkpoint: Checkpoint) -> tuple[str, ...]:
    if isinstance(checkpoint, PartCheckpoint | PictureCheckpoint):
        return checkpoint.assumed
    return ()


def _compared(record: PullRecord, root: Path) -> tuple[FileCheck, ...]:
    return tuple(FileCheck(file.path, _state(file, root / file.path)) for file in record.files)


def _state(file: PulledFile, path: Path) -> FileState:
    if not path.is_file():
        return FileState.MISSING
    is_same = path.stat().st_size == file.size_bytes and sha256_of(path) == file.sha256
    return FileState.SAME if is_same else FileState.CHANGED
