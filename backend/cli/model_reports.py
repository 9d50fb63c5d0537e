"""What ``models`` prints, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from backend.models.checkpoints.catalogue import Model
    from backend.models.checkpoints.converting import Conversion
    from backend.models.checkpoints.finding import FoundModel
    from backend.models.checkpoints.listing import ModelState
    from backend.models.checkpoints.verify import Verification

MOST_FINDINGS = 20
# By kind of model, in the order in which they are shown.
KIND_HEADINGS = {
    "shape": "Shapes from pictures",
    "segmentation": "Parts of a mesh",
    "completion": "Parts made whole",
    "texture": "Textures",
    "companion": "What the models of textures take along",
}


def print_json(value: Any) -> None:
    """Print for programs."""
    print(json.dumps(value, indent=1))


def state_json(state: ModelState) -> dict[str, Any]:
    """Return what is there of a model, for programs; unknown is null."""
    model, found = state.model, state.found
    return {
        "id": model.id,
        "title": model.title,
        "repository": model.repository,
        "kind": str(model.kind),
        "family": str(model.family),
        "licence": str(model.licence),
        "accepted": state.is_accepted,
        "accepted_at": state.accepted_at,
        "usable": state.is_usable,
        "unsupported": state.model.unsupported,
        "complete": found is not None and found.is_complete,
        "origin": str(found.origin) if found else None,
        "folder": str(found.folder) if found else None,
        "revision": state.revision,
        "missing": list(found.missing) if found else None,
        "needs": list(model.needs),
        "uses": list(model.uses),
        "lacking": list(state.lacking),
        "size_bytes": state.size_bytes,
        "download_gb": model.download_gb,
        "steps": model.steps,
        "guidance": model.guidance,
        "views": model.views,
    }


def print_states(states: Sequence[ModelState]) -> None:
    """Print a table of the models of each kind, then where those are and what they lack."""
    console = Console(highlight=False, soft_wrap=True)
    for kind, heading in KIND_HEADINGS.items():
        console.print(heading)
        console.print(_table([state for state in states if state.model.kind == kind]))
        console.print()
    for state in states:
        if state.model.unsupported is not None:
            console.print(f"{state.model.id}: {state.model.unsupported}", markup=False)
        if state.found is None:
            continue
        lacks = [*state.found.missing, *(f"the model {each}" for each in state.lacking)]
        words = f"{state.model.id}: {state.found.origin}, {state.found.folder}"
        if lacks:
            words += f", lacks {'; '.join(lacks)}"
        console.print(words, markup=False)


def _table(states: Sequence[ModelState]) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in ("Model", "State", "Size", "Licence", "Accepted"):
        table.add_column(title, overflow="fold", no_wrap=title == "Model")
    for state in states:
        table.add_row(*(Text(cell) for cell in _row(state)))
    return table


def _row(state: ModelState) -> tuple[str, ...]:
    return (state.model.id, _presence(state), _size(state), state.model.licence, _accepted(state))


def _presence(state: ModelState) -> str:
    if state.model.unsupported is not None:
        return "unsupported"
    if state.found is None:
        return "not here"
    return "complete" if state.found.is_complete and not state.lacking else "incomplete"


def _size(state: ModelState) -> str:
    """Return the size of what is here, or in brackets of what a pull gets."""
    if state.size_bytes is not None:
        gb = state.size_bytes / 1e9
        return f"{gb:.2f} GB" if gb >= 0.1 else f"{gb * 1000:.1f} MB"
    return f"({state.model.download_gb:.2f} GB)" if state.model.download_gb else ""


def _accepted(state: ModelState) -> str:
    if state.accepted_at is not None:
        return state.accepted_at[:10]
    return "not needed" if state.is_accepted else "no"


def verification_json(found: FoundModel, result: Verification) -> dict[str, Any]:
    """Return what came of checking a model, for programs."""
    return {
        "id": found.model.id,
        "folder": str(found.folder),
        "good": result.is_good,
        "tensors": result.tensors,
        "findings": [
            {
                "component": str(finding.component),
                "tensor": finding.name,
                "defect": str(finding.defect),
                "detail": finding.detail or None,
            }
            for finding in result.findings
        ],
        "errors": [
            {"code": error.code, "detail": error.detail, "advice": error.advice}
            for error in result.errors
        ],
        "notes": list(result.notes),
        "files": None
        if result.files is None
        else [{"path": check.path, "state": str(check.state)} for check in result.files],
    }


def print_verification(found: FoundModel, result: Verification) -> None:
    """Print what came of checking a model."""
    print(f"{found.model.title} in {found.folder}: {result.tensors} tensors")
    for finding in result.findings[:MOST_FINDINGS]:
        print(f"  {finding.name}: {finding.defect}{_after_comma(finding.detail)}")
    if len(result.findings) > MOST_FINDINGS:
        print(f"  and {len(result.findings) - MOST_FINDINGS} more")
    for error in result.errors:
        print(f"  {error.detail}\n    {error.advice}")
    for note in result.notes:
        print(f"  {note}")
    for check in result.files or ():
        print(f"  {check.path}: {check.state}")
    if result.files is None:
        print("  No record of a pull: the checksums cannot be compared.")
    print("Everything is as it should be." if result.is_good else "It cannot be used as it is.")


def print_conversions(model: Model, conversions: Sequence[Conversion], *, as_json: bool) -> None:
    """Print which files were written."""
    if as_json:
        rows = [
            {
                "source": str(each.source),
                "target": str(each.target),
                "tensors": each.tensors,
                "new": each.is_new,
            }
            for each in conversions
        ]
        print_json({"id": model.id, "files": rows})
        return
    if not conversions:
        print(f"{model.title} holds no pickle; there is nothing to convert.")
    for each in conversions:
        what = "written and compared" if each.is_new else "was there already"
        print(f"{each.target}: {each.tensors} tensors, {what}. The pickle is not needed any more.")


def _after_comma(detail: str) -> str:
    return f", {detail}" if detail else ""
