"""Runs as comma-separated values: one row per stage of a run."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from typing import Any

RUN_COLUMNS = (
    "run", "job_id", "pipeline", "status", "started_at", "version", "device", "shape_key",
    "batch_size", "total_s", "queue_s",
)  # fmt: skip
STAGE_COLUMNS = {
    "stage": "name",
    "kind": "kind",
    "elapsed_s": "elapsed_s",
    "share_pct": "share_pct",
    "gpu_s": "gpu_s",
    "peak_mb": "peak_mb",
}
DOCUMENT_COLUMNS = ("engine", "settings")
COLUMNS = (*RUN_COLUMNS, *STAGE_COLUMNS, *DOCUMENT_COLUMNS)
# A spreadsheet would compute what begins like this.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def csv_text(runs: Iterable[Mapping[str, Any]]) -> str:
    """Write runs as CSV with a header.

    Parameters
    ----------
    runs : iterable of mapping
        Summaries as ``/api/performance/profiles`` sends them.

    Returns
    -------
    str
        Lines that end in CR LF; what is unknown is an empty field, a run without stages has one
        row with empty stage columns.

    Source
    ------
    RFC 4180, with a quotation mark before text that a spreadsheet would take for a formula.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for run in runs:
        for stage in run.get("stages") or [{}]:
            writer.writerow(_row(run, stage))
    return text.getvalue()


def _row(run: Mapping[str, Any], stage: Mapping[str, Any]) -> list[Any]:
    row = [_cell(run.get(name)) for name in RUN_COLUMNS]
    row += [_cell(stage.get(key)) for key in STAGE_COLUMNS.values()]
    return row + [_document(run.get(name)) for name in DOCUMENT_COLUMNS]


def _document(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":")) if value else ""


def _cell(value: Any) -> Any:
    """Leave numbers alone; None becomes an empty field."""
    if isinstance(value, str) and value.startswith(FORMULA_STARTS):
        return f"'{value}"
    return "" if value is None else value
