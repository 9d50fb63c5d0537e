"""Readings of devices without the jobs that the key of a request may not know of."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine

from backend.jobs.access.job_owners import visible_jobs
from backend.jobs.access.viewer import is_restricted

JOB = "job"


def without_foreign_jobs(engine: Engine, devices: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Write null for the jobs of other keys; what the device did stays.

    Parameters
    ----------
    engine : Engine
        The job database.
    devices : list of dict
        With ``columns`` and ``rows``, as ``GpuFeed`` and ``read_history`` return them.
    """
    if not is_restricted():
        return devices
    named = {job for device in devices for job in _jobs(device) if job is not None}
    seen = visible_jobs(engine, named) if named else frozenset()
    return [_hidden(device, seen) for device in devices]


def _jobs(device: dict[str, Any]) -> list[str | None]:
    at = device["columns"].index(JOB)
    return [row[at] for row in device["rows"]]


def _hidden(device: dict[str, Any], seen: frozenset[str]) -> dict[str, Any]:
    at = device["columns"].index(JOB)
    rows = [row if row[at] in seen else [*row[:at], None, *row[at + 1 :]] for row in device["rows"]]
    return device | {"rows": rows}
