"""Compares the tensors of a file with those that a network wants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from backend.errors import (
    MeshkilnError,
    TensorMisshapen,
    TensorMissing,
    TensorUnexpected,
    WeightsDamaged,
)
from backend.models.checkpoints.checkpoint import Component
from backend.models.checkpoints.tensor_entry import LOADABLE_DTYPES, TensorEntry


class TensorDefect(StrEnum):
    """What is wrong with a tensor."""

    MISSING = "missing"
    MISSHAPEN = "wrong shape"
    DTYPE = "wrong type of numbers"
    UNEXPECTED = "unexpected"
    NOT_FINITE = "not finite"


@dataclass(frozen=True)
class TensorFinding:
    """A tensor that is not as it should be.

    Parameters
    ----------
    name : str
        As published, with the prefix of its component.
    detail : str
        What it is and what it should be; empty when the defect says all.
    """

    component: Component
    name: str
    defect: TensorDefect
    detail: str = ""


_ERRORS: dict[TensorDefect, type[MeshkilnError]] = {
    TensorDefect.MISSING: TensorMissing,
    TensorDefect.MISSHAPEN: TensorMisshapen,
    TensorDefect.DTYPE: TensorMisshapen,
    TensorDefect.UNEXPECTED: TensorUnexpected,
    TensorDefect.NOT_FINITE: WeightsDamaged,
}


def check_tensors(
    component: Component,
    entries: Mapping[str, TensorEntry],
    wanted: Mapping[str, Sequence[int]],
    *,
    optional_prefixes: tuple[str, ...] = (),
) -> list[TensorFinding]:
    """Compare what a file holds with what a network wants; nothing is read.

    Parameters
    ----------
    entries, wanted : mapping
        By published name without prefix.
    optional_prefixes : tuple of str
        Of tensors that may be there or not.

    Returns
    -------
    list of TensorFinding
        Missing ones first, then wrong shapes and types, then unexpected ones.
    """
    missing: list[TensorFinding] = []
    wrong: list[TensorFinding] = []
    for name, shape in wanted.items():
        if name not in entries:
            if not name.startswith(optional_prefixes):
                detail = f"shape {tuple(shape)}"
                missing.append(_finding(component, name, TensorDefect.MISSING, detail))
            continue
        wrong.extend(_compared(component, name, entries[name], tuple(shape)))
    unexpected = [
        _finding(component, name, TensorDefect.UNEXPECTED, f"shape {entry.shape}")
        for name, entry in entries.items()
        if name not in wanted and not name.startswith(optional_prefixes)
    ]
    return [*missing, *wrong, *unexpected]


def refuse_findings(findings: Sequence[TensorFinding], file: Path) -> None:
    """Raise for the first finding, saying how many there are.

    Raises
    ------
    TensorMissing, TensorMisshapen, TensorUnexpected
    """
    if not findings:
        return
    first = findings[0]
    more = f" {len(findings) - 1} more tensors are wrong." if len(findings) > 1 else ""
    detail = f": {first.detail}" if first.detail else ""
    raise _ERRORS[first.defect](f"{file}, tensor {first.name}: {first.defect}{detail}.{more}")


def _compared(
    component: Component, name: str, entry: TensorEntry, shape: tuple[int, ...]
) -> Iterator[TensorFinding]:
    if entry.shape != shape:
        detail = f"it is {entry.shape} and should be {shape}"
        yield _finding(component, name, TensorDefect.MISSHAPEN, detail)
    if entry.dtype not in LOADABLE_DTYPES:
        detail = f"it is {entry.dtype} and should be one of {', '.join(sorted(LOADABLE_DTYPES))}"
        yield _finding(component, name, TensorDefect.DTYPE, detail)


def _finding(component: Component, name: str, defect: TensorDefect, detail: str) -> TensorFinding:
    whole = name if name.startswith(f"{component}.") else f"{component}.{name}"
    return TensorFinding(component, whole, defect, detail)
