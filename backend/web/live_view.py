"""Keeps a job document up to date from its events: pure functions, safe to apply twice."""

from __future__ import annotations

from typing import Any

from backend.jobs.states import EventType, JobState, StageState

Document = dict[str, Any]


def apply_event(document: Document, event: Document) -> Document:
    """Return the document after an event.

    Parameters
    ----------
    document : dict
        A job as in the contract; not changed.
    event : dict
        An event as in the contract; an unknown type changes nothing.

    Returns
    -------
    dict
        The new document. Progress never falls within an attempt.
    """
    change = _CHANGES.get(event["type"])
    return change(document, event["data"]) if change else document


def _snapshot(_: Document, data: Document) -> Document:
    job: Document = data["job"]
    return job


def _state(document: Document, data: Document) -> Document:
    if _is_over(document) and not JobState(data["status"]).is_terminal:
        return document
    new = dict(document)
    attempt = data.get("attempt", document["attempt"])
    if attempt > document["attempt"] and data["status"] == JobState.RUNNING:
        new |= _restarted(document)
    known = ("status", "queue_position", "eta_s", "error", "attempt")
    new |= {key: data[key] for key in known if key in data}
    if data["status"] != JobState.QUEUED:
        new["queue_position"] = None
    if JobState(data["status"]).is_terminal:
        new |= _ended(new)
    return new


def _restarted(document: Document) -> Document:
    fresh = {"status": "pending", "progress": 0.0, "step": None, "steps": None, "elapsed_s": None}
    stages = [stage | fresh for stage in document["stages"]]
    return {"progress": 0.0, "stage": None, "stage_index": 0, "stages": stages}


def _ended(document: Document) -> Document:
    if document["status"] == JobState.SUCCEEDED:
        stages = [
            stage | {"status": "succeeded", "progress": 100.0} for stage in document["stages"]
        ]
        done = {"progress": 100.0, "stage_index": len(stages)}
        return done | {"stages": stages, "stage": None, "eta_s": None}
    ended = "canceled" if document["status"] == JobState.CANCELED else "failed"
    stages = [
        stage | {"status": ended} if stage["status"] == StageState.RUNNING else stage
        for stage in document["stages"]
    ]
    return {"stages": stages, "stage": None, "eta_s": None}


def _stage(document: Document, data: Document) -> Document:
    if _is_over(document):
        return document
    change: Document = {key: data[key] for key in ("status", "elapsed_s") if key in data}
    if data["status"] == StageState.SUCCEEDED:
        change["progress"] = 100.0
    stages = _with_stage(document, data["name"], change)
    running = next((s["name"] for s in stages if s["status"] == StageState.RUNNING), None)
    done = sum(stage["status"] == StageState.SUCCEEDED for stage in stages)
    moved = {"stages": stages, "stage": running, "stage_index": done}
    return document | moved | _progress_of(document, data)


def _progress(document: Document, data: Document) -> Document:
    if _is_over(document):
        return document
    change: Document = {key: data[key] for key in ("step", "steps") if key in data}
    if "stage_progress" in data:
        change["progress"] = data["stage_progress"]
    moved: Document = {"stages": _with_stage(document, data.get("stage"), change)}
    if "eta_s" in data:
        moved["eta_s"] = data["eta_s"]
    return document | moved | _progress_of(document, data)


def _log(document: Document, data: Document) -> Document:
    message = data.get("message")
    if data.get("level") != "warning" or message in document["warnings"]:
        return document
    return document | {"warnings": [*document["warnings"], message]}


def _artifact(document: Document, data: Document) -> Document:
    others = [output for output in document["outputs"] if output["name"] != data["name"]]
    return document | {"outputs": [*others, data]}


def _end(document: Document, data: Document) -> Document:
    return _state(document, {"status": data["status"]})


def _is_over(document: Document) -> bool:
    return JobState(document["status"]).is_terminal


def _progress_of(document: Document, data: Document) -> Document:
    return {"progress": max(document["progress"], data.get("progress", 0.0))}


def _with_stage(document: Document, name: str | None, change: Document) -> list[Document]:
    """Change one stage; one that has ended well does not go back."""
    return [
        stage | change
        if stage["name"] == name and stage["status"] != StageState.SUCCEEDED
        else stage
        for stage in document["stages"]
    ]


_CHANGES = {
    EventType.SNAPSHOT: _snapshot,
    EventType.GAP: _snapshot,
    EventType.STATE: _state,
    EventType.STAGE: _stage,
    EventType.PROGRESS: _progress,
    EventType.LOG: _log,
    EventType.ARTIFACT: _artifact,
    EventType.END: _end,
}
