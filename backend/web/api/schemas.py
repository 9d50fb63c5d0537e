"""JSON schemas of what the API sends, for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from backend.jobs.gpu_samples import DeviceKind
from backend.jobs.states import EventType, JobState, StageState
from backend.profiling.experiment import ExperimentState
from backend.web.api.advice_schemas import ADVICE_SCHEMAS
from backend.web.api.deep_schemas import DEEP_PROFILES
from backend.web.api.run_schemas import RUN_SCHEMAS
from backend.web.api.webhook_schemas import WEBHOOK

Schema = dict[str, Any]


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _or_null(kind: str, **more: Any) -> Schema:
    return {"type": [kind, "null"], **more}


def _object(properties: Schema, **more: Any) -> Schema:
    return {"type": "object", "properties": properties, **more}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_PERCENT: Schema = {"type": "number", "minimum": 0, "maximum": 100}
_TIME: Schema = {"type": "string", "format": "date-time"}
_TIME_OR_NULL: Schema = {"type": ["string", "null"], "format": "date-time"}
_ID: Schema = {"type": "string", "pattern": "^[0-9a-z]{26}$"}
_ANY: Schema = {"type": "object", "additionalProperties": True}

_STAGE = _object(
    {
        "name": _TEXT,
        "status": {"type": "string", "enum": [state.value for state in StageState]},
        "progress": _PERCENT,
        "step": _or_null("integer"),
        "steps": _or_null("integer"),
        "elapsed_s": _or_null("number"),
    }
)
_OUTPUT = _object(
    {"name": _TEXT, "format": _TEXT, "role": _TEXT, "bytes": _COUNT, "sha256": _TEXT, "url": _TEXT}
)
_JOB_ERROR = {
    "type": ["object", "null"],
    "properties": {
        "code": _TEXT,
        "title": _TEXT,
        "detail": _TEXT,
        "advice": _TEXT,
        "retryable": {"type": "boolean"},
    },
}
_ETA = {
    "type": ["object", "null"],
    "description": "Seconds until the end, from like jobs; null without enough of them.",
    "properties": {"low": {"type": "number"}, "high": {"type": "number"}},
}
_JOB = _object(
    {
        "id": _ID,
        "pipeline": _ref("PipelineName"),
        "name": _TEXT,
        "status": _ref("JobState"),
        "stage": _or_null("string"),
        "stage_index": _COUNT,
        "stage_count": _COUNT,
        "progress": {**_PERCENT, "description": "Never falls within an attempt."},
        "queue_position": _or_null("integer", minimum=1),
        "eta_s": _ETA,
        "attempt": _COUNT,
        "max_attempts": _COUNT,
        "priority": {"type": "string", "enum": ["low", "normal", "high"]},
        "batch_id": _or_null("string"),
        "retry_of": _or_null("string"),
        "created_at": _TIME,
        "started_at": _TIME_OR_NULL,
        "finished_at": _TIME_OR_NULL,
        "engine": {"type": "object", "additionalProperties": _TEXT},
        "params": _ANY,
        "facts": _ANY,
        "warnings": _list(_TEXT),
        "error": _JOB_ERROR,
        "stages": _list(_STAGE),
        "outputs": _list(_OUTPUT),
        "links": {"type": "object", "additionalProperties": _TEXT},
    },
    required=["id", "pipeline", "status", "progress", "params", "stages", "outputs", "links"],
)
_PROBLEM = _object(
    {
        "type": _TEXT,
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": _TEXT,
        "instance": _TEXT,
        "code": _TEXT,
        "advice": _TEXT,
        "errors": _list(_object({"pointer": _TEXT, "detail": _TEXT})),
        "retry_after": _or_null("integer"),
        "request_id": _or_null("string"),
    },
    required=["type", "title", "status", "detail", "code"],
)
_EVENT = _object(
    {
        "v": {"type": "integer", "const": 1},
        "id": {**_TEXT, "description": "Where to resume."},
        "job_id": _ID,
        "seq": {**_COUNT, "description": "Counts from 1; 0 for snapshots and gaps."},
        "ts": _TIME,
        "type": {"type": "string", "enum": [kind.value for kind in EventType]},
        "data": _ANY,
    },
    required=["v", "id", "job_id", "seq", "ts", "type", "data"],
)
_MODEL = _object(
    {
        "name": _TEXT,
        "title": _TEXT,
        "state": _TEXT,
        "size_mb": _or_null("number"),
        "vram_mb": {"type": "number"},
        "ram_mb": {"type": "number"},
        "leftover_mb": {
            "type": "number",
            "description": "device memory kept by a hosted program that has left the device",
        },
        "pid": _or_null("integer", description="of a hosted program's own process"),
        "pinned": _or_null("string", description="full, partial or none"),
        "keep": {"type": "boolean"},
        "leases": _COUNT,
        "idle_s": _or_null("number"),
        "conduct": _or_null("string", description="what is done with the model now"),
        "loads": _COUNT,
        "restores": _COUNT,
        "evictions": _COUNT,
        "last_restore": _ANY,
        "error": _or_null("string"),
    }
)
_HELD_JOB = _object(
    {
        "id": _TEXT,
        "stage": _or_null("string"),
        "progress": _or_null("number"),
        "waits": {
            "type": "boolean",
            "description": "for the device, or for the others of its batch",
        },
    }
)
_GPU_STATUS = _object(
    {
        "available": {"type": "boolean"},
        "backend": _or_null("string"),
        "reason_unavailable": _or_null("string"),
        "sampled_at": _TIME_OR_NULL,
        "age_ms": _or_null("integer"),
        "mode": _or_null("string"),
        "driver": _or_null("string"),
        "cuda": _or_null("string"),
        "torch": _or_null("string"),
        "devices": _list(_ANY),
        "models": _list(_MODEL),
        "residency": _ANY,
        "degraded": {"type": "boolean"},
        "degraded_reason": _or_null("string"),
        "worker": _object(
            {
                "state": _or_null("string", description="idle, busy or offline"),
                "current_job": _or_null("string"),
                "stage": _or_null("string"),
                "progress": _or_null("number"),
                "current_jobs": _list(_HELD_JOB),
            }
        ),
        "workers": _COUNT,
        "queue": _object({"depth": _COUNT, "wait_p50_s": _or_null("number")}),
        "host": _ANY,
        "total_mb": _or_null("number"),
        "used_mb": _or_null("number"),
        "utilization": _or_null("number"),
        "memory": _ANY,
        "trends": _ANY,
        "recommendations": _list(_TEXT),
        "timestamp": _TIME_OR_NULL,
        "allocator": _ANY,
    }
)
_GPU_HISTORY = _object(
    {
        "devices": _list(
            _object(
                {
                    "key": _TEXT,
                    "name": _TEXT,
                    "kind": {"type": "string", "enum": [kind.value for kind in DeviceKind]},
                    "columns": _list(_TEXT),
                    "rows": {
                        "type": "array",
                        "description": "oldest first; one value for each column, unknown is null",
                        "items": _list({}),
                    },
                    "marks": {
                        "type": "array",
                        "description": "[at_s, job, stage] where a stage begins; "
                        "the stage is null where the job ends",
                        "items": _list({}),
                    },
                }
            )
        )
    }
)
_SUMMARY = _object(
    {
        "total_pipelines": _COUNT,
        **{
            f"{kind}_duration_seconds": _or_null("number")
            for kind in ("avg", "min", "max", "p50", "p95")
        },
        "stage_breakdown": {"type": "object", "additionalProperties": _ANY},
        "bottlenecks": _list(_ANY),
        "stage_runs": _COUNT,
        "trends": _list(_ANY),
        "stages": _list(_ANY),
        "timestamp": _TIME,
        "error": _TEXT,
    }
)
_VALUE: Schema = {"type": ["string", "number", "boolean", "null"]}
_EXPERIMENT = _object(
    {
        "id": _ID,
        "advice_id": _TEXT,
        "pipeline": _TEXT,
        "shape_key": _TEXT,
        "title": _TEXT,
        "setting": _TEXT,
        "from": _VALUE,
        "to": _VALUE,
        "state": {"type": "string", "enum": [state.value for state in ExperimentState]},
        "reason": _or_null("string"),
        "ratio": _or_null("number", description="old time over new time; above 1 is faster"),
        "ci": {
            "type": ["array", "null"],
            "description": "95 % interval of the ratio; null from too few pairs",
            "items": {"type": "number"},
        },
        "pairs_done": _COUNT,
        "pairs": _COUNT,
        "applied_at": _TIME_OR_NULL,
        "decided_at": _TIME_OR_NULL,
    }
)
_READINESS = _object(
    {
        "ready": {"type": "boolean"},
        "database": _TEXT,
        "redis": _TEXT,
        "workers": _list(_ANY),
        "missing_workers": _list(_TEXT),
    }
)

SCHEMAS: dict[str, Schema] = {
    "JobState": {"type": "string", "enum": [state.value for state in JobState]},
    "Job": _JOB,
    "Webhook": WEBHOOK,
    "JobPage": _object({"items": _list(_ref("Job")), "next": _or_null("string")}),
    "Event": _EVENT,
    "Problem": _PROBLEM,
    "GpuStatus": _GPU_STATUS,
    "GpuHistory": _GPU_HISTORY,
    "GpuControl": _object({"status": _TEXT, "models": _ANY}),
    "PerformanceSummary": _SUMMARY,
    **RUN_SCHEMAS,
    **ADVICE_SCHEMAS,
    "Experiment": _EXPERIMENT,
    "ExperimentAnswer": _object({"experiment": _ref("Experiment")}),
    "DeepProfiles": DEEP_PROFILES,
    "Health": _object({"status": _TEXT}),
    "Readiness": _READINESS,
}
