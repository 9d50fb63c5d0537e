"""JSON schemas of deep profiles."""

from __future__ import annotations

from typing import Any

from backend.jobs.deep_profiles import DeepState
from backend.profiling.deep_profile import DeepFile

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
_NUMBER: Schema = {"type": "number"}
_NUMBER_OR_NULL: Schema = {"type": ["number", "null"]}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_TIME_OR_NULL: Schema = {"type": ["string", "null"], "format": "date-time"}


def _object(properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


_PROBLEM = _object({"detail": _TEXT, "advice": _TEXT})
_FILE = _object(
    {
        "name": {"type": "string", "enum": [file.value for file in DeepFile]},
        "bytes": {"type": ["integer", "null"]},
        "url": _TEXT,
    }
)
_FUNCTION = _object({"function": _TEXT, "file": _TEXT, "self_s": _NUMBER, "share_pct": _NUMBER})
_KERNEL = _object({"name": _TEXT, "calls": _COUNT, "total_s": _NUMBER})
_TORCH = {
    **_object(
        {
            "events": _COUNT,
            "elapsed_s": _NUMBER,
            "stopped_early": {"type": "boolean"},
            "kernels": _list(_KERNEL),
        }
    ),
    "type": ["object", "null"],
}
_PROFILE = _object(
    {
        "state": {"type": "string", "enum": ["running", "finished", "failed"]},
        "job_id": _TEXT,
        "attempt": _COUNT,
        "pipeline": _TEXT,
        "armed_at": _TIME_OR_NULL,
        "started_at": _TIME_OR_NULL,
        "finished_at": _TIME_OR_NULL,
        "run": _TEXT_OR_NULL,
        "total_s": _NUMBER_OR_NULL,
        "sampled_s": _NUMBER_OR_NULL,
        "functions": _list(_FUNCTION),
        "torch": _TORCH,
        "problems": _list(_PROBLEM),
        "files": _list(_FILE),
    }
)
DEEP_PROFILES = _object(
    {
        "state": {
            "type": "string",
            "enum": [state.value for state in (DeepState.IDLE, DeepState.ARMED, DeepState.RUNNING)],
        },
        "pipeline": _TEXT_OR_NULL,
        "armed_at": _TIME_OR_NULL,
        "job_id": _TEXT_OR_NULL,
        "missing": _list(_PROBLEM),
        "items": _list(_PROFILE),
    }
)
