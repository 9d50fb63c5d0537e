"""JSON schemas of advice."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from backend.profiling.advice.advice import AdviceKind, Confidence, Method, QualityRisk
from backend.profiling.advice.rule_id import RuleId
from backend.profiling.experiment import ExperimentState

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
_NUMBER: Schema = {"type": "number"}
_YES_OR_NO: Schema = {"type": "boolean"}
_VALUE: Schema = {"type": ["string", "number", "boolean", "null"]}
_OPEN: Schema = {"type": "object", "additionalProperties": True}


def _object(properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _or_null(schema: Schema) -> Schema:
    return schema | {"type": ["object", "null"]}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _enum(values: type[StrEnum]) -> Schema:
    return {"type": "string", "enum": [value.value for value in values]}


_GAIN = {
    **_or_null(_object(dict.fromkeys(("s_per_job", "pct", "low", "high", "ceiling"), _NUMBER))),
    "description": "Seconds saved per job: expected, from low to high, at most the ceiling.",
}
_ACTION = _or_null(
    _object(
        {
            "setting": _TEXT,
            "from": _VALUE,
            "to": _VALUE,
            "needs_restart": _YES_OR_NO,
            "available": {**_YES_OR_NO, "description": "Whether it can be applied here and now."},
        }
    )
)
_VERIFY = _or_null(
    _object(
        {
            "state": _enum(ExperimentState),
            "reason": _TEXT_OR_NULL,
            "before": _VALUE,
            "after": _VALUE,
            "ratio": {"type": ["number", "null"]},
            "ci": {"type": ["array", "null"], "items": _NUMBER},
        }
    )
)
_ADVICE = _object(
    {
        "id": _TEXT,
        "rule": _enum(RuleId),
        "stage": _TEXT,
        "kind": _enum(AdviceKind),
        "evidence": {**_OPEN, "description": "The figures by name, with n and window."},
        "gain": _GAIN,
        "strength": {"type": "number"},
        "method": _enum(Method),
        "confidence": _enum(Confidence),
        "quality_risk": _enum(QualityRisk),
        "action": _ACTION,
        "may_auto_apply": _YES_OR_NO,
        "title": _TEXT,
        "detail": _TEXT,
        "seed_text": _TEXT_OR_NULL,
        "verify": _VERIFY,
    }
)
_SLOWEST_STAGE = _object(
    {"id": _TEXT, "title": _TEXT, "detail": _TEXT, "severity": _TEXT, "evidence": _OPEN}
)

ADVICE_SCHEMAS: dict[str, Schema] = {
    "Advice": _ADVICE,
    "Recommendations": _object(
        {
            "pipeline": _TEXT_OR_NULL,
            "shape_key": _TEXT_OR_NULL,
            "runs": {"type": "integer", "minimum": 0},
            "items": _list({"$ref": "#/components/schemas/Advice"}),
            "experiments": _list({"$ref": "#/components/schemas/Experiment"}),
            "recommendations": _list(_SLOWEST_STAGE),
            "seed_lines": _list(_TEXT),
            "note": _TEXT_OR_NULL,
        }
    ),
}
