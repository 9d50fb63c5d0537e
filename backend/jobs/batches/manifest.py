"""What a batch has made, as JSON for programs and as CSV for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from backend.jobs.batches.records import BatchRecord, batch_document
from backend.jobs.batches.results import ItemResult
from backend.units import iso

COLUMNS = (
    "custom_id", "status", "folder", "job_id", "seed", "files", "bytes", "missing_files",
    "started_at", "finished_at", "elapsed_s", "error_code", "error_detail",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def manifest_row(result: ItemResult, folder: str, missing: Sequence[str] = ()) -> dict[str, Any]:
    """Describe one item.

    Parameters
    ----------
    result : ItemResult
        The item.
    folder : str
        Where its files are in the archive.
    missing : sequence of str
        Files that were removed before they could be packed.
    """
    job, error = result.job, result.error or {}
    outputs = [output for output in job.outputs if output.name not in missing] if job else []
    return {
        "custom_id": result.item.custom_id,
        "status": result.status,
        "folder": folder if outputs else None,
        "job_id": result.item.job_id,
        "seed": job.params.get("seed") if job else None,
        "params": job.params if job else None,
        "facts": job.facts if job else None,
        "files": [
            {
                "path": f"{folder}/{output.name}",
                "role": output.role,
                "bytes": output.bytes,
                "sha256": output.sha256,
            }
            for output in outputs
        ],
        "missing_files": list(missing),
        "started_at": iso(job.started_at) if job else None,
        "finished_at": iso(job.finished_at) if job else None,
        "elapsed_s": _elapsed_s(result),
        "error_code": error.get("code"),
        "error_detail": error.get("detail"),
    }


def manifest_document(batch: BatchRecord, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Write the manifest as JSON."""
    document = batch_document(batch)
    shown = ("id", "name", "pipeline", "params", "status", "counts", "created_at", "finished_at")
    return {name: document[name] for name in shown} | {"items": list(rows)}


def manifest_csv(rows: Sequence[dict[str, Any]]) -> str:
    """Write the manifest as CSV, a line for each item; no cell begins a formula."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for row in rows:
        flat = row | {
            "files": len(row["files"]),
            "bytes": sum(file["bytes"] for file in row["files"]),
            "missing_files": " ".join(row["missing_files"]),
        }
        writer.writerow([_cell(flat[name]) for name in COLUMNS])
    return text.getvalue()


def _cell(value: Any) -> Any:
    """Write a cell; what a spreadsheet would calculate gets an apostrophe in front.

    >>> _cell("=1+1"), _cell(-3), _cell(None)
    ("'=1+1", -3, '')
    """
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return "" if value is None else value


def _elapsed_s(result: ItemResult) -> float | None:
    job = result.job
    if job is None or job.started_at is None or job.finished_at is None:
        return None
    return round((job.finished_at - job.started_at).total_seconds(), 3)
