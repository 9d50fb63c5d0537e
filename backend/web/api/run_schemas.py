"""JSON schemas of recorded runs, their comparison and the targets."""

from __future__ import annotations

from typing import Any

from backend.profiling.regression import Verdict
from backend.profiling.run_comparison import SideKind
from backend.profiling.run_summary import RunStatus
from backend.profiling.spans import SpanKind
from backend.profiling.targets import Bound, TargetState

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
_NUMBER: Schema = {"type": "number"}
_NUMBER_OR_NULL: Schema = {"type": ["number", "null"]}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_OPEN: Schema = {"type": "object", "additionalProperties": True}
_OPEN_OR_NULL: Schema = {"type": ["object", "null"], "additionalProperties": True}


def _object(properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _enum(values: Any) -> Schema:
    return {"type": "string", "enum": [value.value for value in values]}


_STAGE = _object(
    {
        "name": _TEXT,
        "kind": _enum(SpanKind),
        "elapsed_s": _NUMBER,
        "share_pct": _NUMBER_OR_NULL,
        "gpu_s": _NUMBER_OR_NULL,
        "peak_mb": _NUMBER_OR_NULL,
        "flop": _NUMBER_OR_NULL,
        "moved_bytes": _NUMBER_OR_NULL,
        "dtype": _TEXT_OR_NULL,
    }
)
# Stages in which networks ran tell more.
_STAGE["properties"] |= {
    "calls": {"type": ["integer", "null"], "minimum": 0},
    "facts": _OPEN,
    "inner": _list(_OPEN),
}
_RUN = _object(
    {
        "run": _TEXT,
        "job_id": _TEXT_OR_NULL,
        "pipeline": _TEXT,
        "started_at": {"type": "string", "format": "date-time"},
        "total_s": _NUMBER,
        "queue_s": _NUMBER_OR_NULL,
        "load_s": _NUMBER_OR_NULL,
        "status": _enum(RunStatus),
        "device": _TEXT_OR_NULL,
        "engine": _OPEN,
        "settings": _OPEN,
        "shape_key": _TEXT,
        "batch_size": {"type": ["integer", "null"]},
        "version": _TEXT,
        "stages": _list(_STAGE),
    }
)
_CHANGE = _object(
    {
        "runs_before": _COUNT,
        "runs_after": _COUNT,
        "p50_before_s": _NUMBER_OR_NULL,
        "p50_after_s": _NUMBER_OR_NULL,
        "difference_s": _NUMBER,
        "interval": _OPEN_OR_NULL,
        "verdict": {"type": ["string", "null"], "enum": [*(v.value for v in Verdict), None]},
    }
)
_SIDE = _object({"kind": _enum(SideKind), "value": _TEXT, "runs": _COUNT, "devices": _list(_TEXT)})
_COMPARED = _object(
    {"pipeline": _TEXT, "shape_key": _TEXT, "total": _CHANGE, "stages": _list(_OPEN)}
)
_TARGET = _object(
    {
        "id": _TEXT,
        "title": _TEXT,
        "target": _NUMBER,
        "unit": _TEXT,
        "bound": _enum(Bound),
        "baseline": _NUMBER_OR_NULL,
        "state": _enum(TargetState),
        "measured": _NUMBER_OR_NULL,
        "n": _COUNT,
        "n_needed": _COUNT,
        "spread": _OPEN_OR_NULL,
        "engines": _list(_TEXT),
        "devices": _list(_TEXT),
        "note": _TEXT,
    }
)

RUN_SCHEMAS: dict[str, Schema] = {
    "Run": _RUN,
    "RunList": _object({"items": _list({"$ref": "#/components/schemas/Run"})}),
    "StoredRun": _object({"run": {"$ref": "#/components/schemas/Run"}, "profile": _OPEN}),
    "RunComparison": _object(
        {"before": _SIDE, "after": _SIDE, "items": _list(_COMPARED), "note": _TEXT_OR_NULL}
    ),
    "Target": _TARGET,
    "Targets": _object({"items": _list({"$ref": "#/components/schemas/Target"})}),
}
