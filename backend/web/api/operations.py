"""What every route of the API does, as data: the OpenAPI document is made from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Operation:
    """One method of one path.

    Parameters
    ----------
    method, path : str
        In lower case, and with ``{parameters}``.
    summary : str
        One sentence.
    answers : dict
        Status to (description, schema name or media type or None).
    body : str
        Name of the request body, if any; see ``openapi.BODIES``.
    query, headers : dict
        Name to (description, schema).
    """

    method: str
    path: str
    tag: str
    summary: str
    answers: Mapping[int, tuple[str, str | None]]
    problems: tuple[int, ...] = ()
    body: str | None = None
    query: Mapping[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    headers: Mapping[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)


_TEXT: dict[str, Any] = {"type": "string"}
_JOB = {202: ("The job.", "Job")}
_RESUME = "Id of the last event seen: what came after it follows."
_ADVICE_ACTIONS: tuple[tuple[str, str, tuple[int, ...]], ...] = (
    ("apply", "Test advice: the next jobs of its kind run in turn with the old and the new value.",
     (400, 403, 404, 409, 422)),
    ("revert", "Take a value back, on trial or confirmed; also by the id of the experiment.",
     (400, 403, 404, 409)),
    ("dismiss", "Put advice away until its evidence changes by a fifth.",
     (400, 403, 404, 409)),
)  # fmt: skip
_TRACE = {"traceparent": ("W3C trace context: the run of the job joins this trace.", _TEXT)}
_SIDE = "A version, a setting as name=value, or the id of a run. Required."

_CONTROL = {
    200: ("Done.", "GpuControl"),
    202: ("Begun, or waiting until no job uses the model.", "GpuControl"),
}
_CONTROLS: tuple[tuple[str, str, tuple[int, ...], str], ...] = (
    ("offload", "Move a model, or all, from the GPU to host memory.",
     (400, 403, 404, 409, 422, 503), "gpu_control"),
    ("release", "Free a model, or all, on the GPU and in host memory.",
     (400, 403, 404, 409, 422, 503), "gpu_control"),
    ("preload", "Bring a model to the GPU ahead of its use.",
     (400, 403, 404, 422, 503), "gpu_control"),
)  # fmt: skip

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "post", "/api/v1/jobs", "jobs", "Submit a job.",
        {202: ("Accepted.", "Job"), 200: ("The idempotency key had made this job before.", "Job")},
        (400, 403, 413, 415, 422, 503, 507),
        body="submit",
        headers={"Idempotency-Key": ("Same key and same request: same job, for 24 hours.",
                                     {"type": "string", "minLength": 1, "maxLength": 128}),
                 **_TRACE},
    ),
    Operation(
        "get", "/api/v1/jobs", "jobs", "List jobs, newest first.", {200: ("A page.", "JobPage")},
        (422,),
        query={
            "status": ("Only jobs in this state.", {"$ref": "#/components/schemas/JobState"}),
            "pipeline": ("Only jobs of this pipeline.",
                         {"$ref": "#/components/schemas/PipelineName"}),
            "batch_id": ("Only jobs of this batch.", _TEXT),
            "q": ("Only jobs whose name contains this.", _TEXT),
            "limit": ("Jobs per page.", {"type": "integer", "minimum": 1, "maximum": 200,
                                         "default": 50}),
            "cursor": ("From the 'next' address of the page before.", _TEXT),
        },
    ),
    Operation(
        "get", "/api/v1/jobs/{job_id}", "jobs", "Look up a job.",
        {200: ("The job, with an ETag.", "Job"), 304: ("Not changed.", None)}, (404,),
    ),
    Operation(
        "patch", "/api/v1/jobs/{job_id}", "jobs", "Give a job another name.",
        {200: ("The job.", "Job")}, (400, 404, 422), body="rename",
    ),
    Operation(
        "delete", "/api/v1/jobs/{job_id}", "jobs",
        "Remove a job and its files; a running one is canceled first.",
        {204: ("Removed.", None)}, (404,),
    ),
    Operation(
        "post", "/api/v1/jobs/{job_id}/cancel", "jobs", "Ask a job to stop.", _JOB, (404, 409),
    ),
    Operation(
        "post", "/api/v1/jobs/{job_id}/retry", "jobs",
        "Run an ended job again as a new one; single parameters may be replaced.",
        _JOB, (400, 404, 409, 410, 422, 503, 507), body="retry",
        headers=_TRACE,
    ),
    Operation(
        "get", "/api/v1/jobs/{job_id}/webhook", "jobs",
        "Look up how telling the end of a job to its webhook_url went.",
        {200: ("The webhook.", "Webhook")}, (404,),
    ),
    Operation(
        "post", "/api/v1/jobs/{job_id}/webhook/resend", "jobs",
        "Tell the end of a job once more, under the same webhook-id.",
        {202: ("It is due now.", "Webhook")}, (403, 404, 409),
    ),
    Operation(
        "get", "/api/v1/jobs/{job_id}/events", "jobs",
        "Follow a job as server-sent events: a snapshot, then everything until the end.",
        {200: ("A stream of events.", "text/event-stream")}, (404, 503),
        query={"last_event_id": (_RESUME, _TEXT)}, headers={"Last-Event-ID": (_RESUME, _TEXT)},
    ),
    Operation(
        "get", "/api/v1/jobs/{job_id}/files/{name}", "jobs",
        "Download a file of a job; also files that a running job shows already.",
        {200: ("The file; the ETag is its SHA-256.", "application/octet-stream"),
         206: ("A range of it.", "application/octet-stream"), 304: ("Not changed.", None)},
        (404, 410, 416),
        query={"inline": ("1: not as an attachment (PNG and GLB only).",
                          {"type": "string", "enum": ["0", "1"]})},
    ),
    Operation(
        "get", "/ws/jobs/{job_id}", "jobs",
        "Follow a job over a WebSocket. Closes with 1000 after the end, 4404 for an unknown job, "
        "1012 when the server stops, 1008 or 1009 for what a client may not do.",
        {101: ("Events as JSON text, or HTML.", None)}, (400, 403, 503),
        query={"last_event_id": (_RESUME, _TEXT),
               "format": ("html: fragments for htmx.", {"type": "string", "enum": ["html"]})},
    ),
    Operation(
        "get", "/api/gpu/status", "gpu", "Device, worker, queue and host; unknown is null.",
        {200: ("The status.", "GpuStatus")},
    ),
    Operation(
        "get", "/gpu/status", "gpu", "Alias of /api/gpu/status.",
        {200: ("The status.", "GpuStatus")},
    ),
    Operation(
        "get", "/api/gpu/history", "gpu",
        "Readings of the last minutes, a card each, or of the host where there is none.",
        {200: ("The readings; unknown is null.", "GpuHistory")}, (422,),
        query={"window_s": ("How far back, in seconds.",
                            {"type": "number", "exclusiveMinimum": 0, "maximum": 3600,
                             "default": 600})},
    ),
    Operation(
        "get", "/ws/gpu", "gpu",
        "Readings over a WebSocket: the last ten minutes, then each new one. Closes with 1012 "
        "when the server stops, 1008 or 1009 for what a client may not do.",
        {101: ("Messages as JSON text.", None)}, (400, 403, 503),
        query={"last_id": ("The 'last_id' of the last message seen: what came after it follows.",
                           _TEXT)},
    ),
    Operation(
        "get", "/api/gpu/memory_summary", "gpu", "Who holds the device's memory, as plain text.",
        {200: ("The summary.", "text/plain")},
    ),
    *(
        Operation(
            "post", f"{prefix}/gpu/{verb}", "gpu", f"{summary}{alias}", _CONTROL, problems,
            body=body,
        )
        for prefix, alias in (("/api", ""), ("", " Alias."))
        for verb, summary, problems, body in _CONTROLS
    ),
    Operation(
        "post", "/api/gpu/settings", "gpu",
        "Change how long models stay; kept for workers that start later.",
        _CONTROL, (400, 403, 422, 503), body="gpu_settings",
    ),
    Operation(
        "get", "/api/performance/summary", "performance", "What the last runs took.",
        {200: ("The summary.", "PerformanceSummary")},
    ),
    Operation(
        "get", "/api/performance/recommendations", "performance",
        "What to change for faster jobs of one kind of work, with what it would save.",
        {200: ("The advice, and the trials of earlier advice.", "Recommendations")}, (422,),
        query={
            "pipeline": ("The pipeline; the most used one if absent.", _TEXT),
            "shape_key": ("The size of its work; the most used one if absent.", _TEXT),
        },
    ),
    *(
        Operation(
            "post", f"/api/performance/recommendations/{{advice_id}}/{verb}", "performance",
            summary,
            {200: ("The experiment. A form is led back to its page.", "ExperimentAnswer"),
             303: ("To the page, for a form.", None)},
            problems, body="advice_action",
        )
        for verb, summary, problems in _ADVICE_ACTIONS
    ),
    Operation(
        "get", "/api/performance/profiles", "performance", "List recorded runs, newest first.",
        {200: ("The runs.", "RunList")}, (422,),
        query={
            "pipeline": ("Only runs of this pipeline.", _TEXT),
            "shape_key": ("Only runs of work of this size.", _TEXT),
            "status": ("Only runs that ended so.",
                       {"type": "string", "enum": ["ok", "failed", "canceled"]}),
            "limit": ("At most so many.", {"type": "integer", "minimum": 1, "maximum": 500,
                                           "default": 50}),
        },
    ),
    Operation(
        "get", "/api/performance/profiles/{run}", "performance",
        "Look up a run with its whole profile.", {200: ("The run.", "StoredRun")}, (404,),
    ),
    Operation(
        "get", "/api/performance/compare", "performance",
        "Compare two versions, two settings or two runs, each kind of work by itself.",
        {200: ("The comparison; an interval over enough runs decides, never one run.",
               "RunComparison")},
        (404, 422),
        query={"before": (_SIDE, _TEXT), "after": (_SIDE, _TEXT)},
    ),
    Operation(
        "get", "/api/performance/targets", "performance",
        "Which speed targets recorded runs meet, miss, or have not measured.",
        {200: ("The targets.", "Targets")},
    ),
    Operation(
        "get", "/api/performance/report", "performance",
        "Recorded runs as a file: JSON, CSV, a page that opens offline, or a trace for Perfetto.",
        {200: ("The report, in the media type of its format.", "application/json")}, (404, 422),
        query={
            "format": ("How it is written.",
                       {"type": "string", "enum": ["json", "csv", "html", "perfetto"],
                        "default": "json"}),
            "run": ("Only this run.", _TEXT),
            "pipeline": ("Only runs of this pipeline.", _TEXT),
            "limit": ("At most so many; a trace shows the newest 50.",
                      {"type": "integer", "minimum": 1, "maximum": 5000, "default": 200}),
        },
    ),
    Operation(
        "get", "/api/performance/deep-profile", "performance",
        "Whether the next job will be profiled in depth, and what was profiled.",
        {200: ("State and profiles.", "DeepProfiles")},
    ),
    Operation(
        "post", "/api/performance/deep-profile", "performance",
        "Profile the next job in depth, of one pipeline or of any.",
        {202: ("Ordered.", "DeepProfiles")}, (400, 403, 409, 422), body="deep_profile",
    ),
    Operation(
        "delete", "/api/performance/deep-profile", "performance",
        "Take the order for a deep profile back.",
        {200: ("State and profiles.", "DeepProfiles")}, (403,),
    ),
    Operation(
        "get", "/api/performance/deep-profile/{job_id}/{name}", "performance",
        "A file of a deep profile: pyinstrument.html, torch_trace.json.gz or summary.json.",
        {200: ("The file.", "application/octet-stream")}, (404,),
        query={"download": ("1: the call tree as an attachment too.",
                            {"type": "string", "enum": ["0", "1"]})},
    ),
    Operation(
        "get", "/metrics", "performance",
        "Jobs, queue, workers, models, cards and run times for Prometheus, text format 0.0.4.",
        {200: ("The metrics.", "text/plain")},
    ),
    Operation(
        "get", "/healthz", "health", "Whether the web process answers.",
        {200: ("It does.", "Health")},
    ),
    Operation(
        "get", "/readyz", "health", "Whether jobs can run: database, Redis and both workers.",
        {200: ("They can.", "Readiness"), 503: ("Something is missing.", "Readiness")},
    ),
    Operation(
        "get", "/openapi.json", "health", "This document.",
        {200: ("OpenAPI 3.1.", "application/json")},
    ),
)  # fmt: skip
