"""Talks to a running server: submit, follow the events, fetch the result."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import requests

from backend.catalog import PipelineName
from backend.errors import GenerationFailed, MeshkilnError, WorkerOffline
from backend.progress import ProgressSink

CONNECT_S, READ_S = 5.0, 60.0
KEY_VARIABLE = "MESHKILN_KEY"
RECONNECTS, RECONNECT_PAUSE_S = 30, 1.0


class RemoteProblem(MeshkilnError):
    """The server answered with a problem document."""


def generate_on_server(
    server: str,
    files: Mapping[str, tuple[str, bytes]],
    params: dict[str, Any],
    sink: ProgressSink,
    wanted: str,
    output: Path,
) -> None:
    """Submit a picture, follow the job, and write the output named ``wanted`` to ``output``.

    Parameters
    ----------
    files : mapping of str to (filename, bytes)
        By the fields of a submit.

    Raises
    ------
    WorkerOffline
        The server does not answer.
    RemoteProblem, GenerationFailed
        The server refused the job, or the job failed.
    """
    final = run_on_server(server, PipelineName.IMAGE_TO_3D, files, params, sink)
    made = next(file for file in final["outputs"] if file["name"] == wanted)
    output.write_bytes(fetch(server, made["url"]))


def run_on_server(
    server: str,
    pipeline: PipelineName,
    files: Mapping[str, tuple[str, bytes]],
    params: dict[str, Any],
    sink: ProgressSink,
) -> dict[str, Any]:
    """Submit files and follow the job to its end; returns its document.

    Parameters
    ----------
    files : mapping of str to (filename, bytes)
        By the fields of a submit.

    Raises
    ------
    WorkerOffline
        The server does not answer.
    RemoteProblem, GenerationFailed
        The server refused the job, or the job failed.
    """
    base = server.rstrip("/")
    form = {"pipeline": pipeline.value, "params": json.dumps(params)}
    job = call("POST", f"{base}/api/v1/jobs", files=dict(files), data=form).json()
    final = _follow(base, job["id"], sink)
    if final["status"] != "succeeded":
        error = final["error"] or {"detail": f"The job was {final['status']}.", "advice": ""}
        raise GenerationFailed(error["detail"], advice=error["advice"])
    return final


def fetch(server: str, url: str) -> bytes:
    """Fetch a file of a job."""
    return call("GET", server.rstrip("/") + url).content


def call(method: str, url: str, **options: Any) -> requests.Response:
    """Send a request; problems become our errors."""
    headers = key_header() | options.pop("headers", {})
    try:
        answer = requests.request(
            method, url, timeout=(CONNECT_S, READ_S), headers=headers, **options
        )
    except requests.RequestException as error:
        raise WorkerOffline(
            f"{url} does not answer.", advice="Start the server with script/server."
        ) from error
    if answer.status_code >= 400:
        raise _problem(answer)
    return answer


def key_header() -> dict[str, str]:
    """Return the header that shows the key of the variable MESHKILN_KEY, if there is one.

    An option would show the key to everybody who lists the processes of the machine.
    """
    key = os.environ.get(KEY_VARIABLE, "").strip()
    return {"Authorization": f"Bearer {key}"} if key else {}


def _problem(answer: requests.Response) -> RemoteProblem:
    try:
        body = answer.json()
        return RemoteProblem(body["detail"], advice=body.get("advice"))
    except (ValueError, KeyError):
        return RemoteProblem(f"The server answered {answer.status_code}.")


def _follow(base: str, job_id: str, sink: ProgressSink) -> dict[str, Any]:
    last_id = ""
    for _ in range(RECONNECTS):
        try:
            for event in _events(base, job_id, last_id):
                last_id = event["id"] or last_id
                _report(event, sink)
                if event["type"] == "end":
                    break
        except requests.RequestException:
            time.sleep(RECONNECT_PAUSE_S)  # the server restarts; the event id resumes
            continue
        job: dict[str, Any] = call("GET", f"{base}/api/v1/jobs/{job_id}").json()
        if job["finished_at"]:
            for warning in job["warnings"]:
                sink.warn(warning)
            return job
    raise WorkerOffline(f"The connection to {base} was lost; job {job_id} goes on there.")


def _events(base: str, job_id: str, last_id: str) -> Iterator[dict[str, Any]]:
    headers = key_header() | ({"Last-Event-ID": last_id} if last_id else {})
    url = f"{base}/api/v1/jobs/{job_id}/events"
    with requests.get(url, headers=headers, stream=True, timeout=(CONNECT_S, READ_S)) as answer:
        if answer.status_code >= 400:
            raise _problem(answer)
        for line in answer.iter_lines(chunk_size=1, decode_unicode=True):
            if line.startswith("data:"):
                yield json.loads(line[5:])


def _report(event: dict[str, Any], sink: ProgressSink) -> None:
    data = event["data"]
    if event["type"] == "snapshot":
        for stage in data["job"]["stages"]:
            _report_stage(stage["name"], stage, sink)
    elif event["type"] == "stage":
        _report_stage(data["name"], data, sink)
    elif event["type"] == "progress" and data.get("steps"):
        sink.stage_progress(data["stage"], data["step"], data["steps"])


def _report_stage(name: str, stage: dict[str, Any], sink: ProgressSink) -> None:
    if stage["status"] == "running":
        sink.stage_started(name)
    elif stage["status"] == "succeeded":
        sink.stage_finished(name, stage["elapsed_s"] or 0.0)
