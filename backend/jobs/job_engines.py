"""Which engines a job will run with, as far as that is known before it has run.

A setting may be right for one engine and wrong for another, so what auto-tune finds holds for the
engines that it measured. A job asks for an engine by name, or for ``auto``; then it gets the one
that the last run of like work got. A role of which neither tells anything is open, and speaks
against no value. The background is left out: its engine follows the picture, not the machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, inspect, select

from backend.jobs.schema import JobRow
from backend.profiling.run_summary import RunStatus
from backend.profiling.run_table import RUNS

AUTO = "auto"
BACKGROUND, SHAPE = "background", "shape"
# Which parameter of a job names the engine of a role.
ASKED_BY = {SHAPE: "engine"}

Engines = Mapping[str, str]


def engines_key(engines: Engines) -> str:
    """Write the engines that a value was found with as one text.

    >>> engines_key({"texture": "projection", "shape": "inflate", "background": "alpha"})
    'shape=inflate texture=projection'
    """
    return " ".join(f"{role}={name}" for role, name in sorted(engines.items()) if _counts(role))


def engines_words(engines: Engines) -> str:
    """Name the engines that a value was found with, for people.

    >>> engines_words({"shape": "inflate", "texture": "projection", "background": "alpha"})
    'shape inflate, texture projection'
    >>> engines_words({})
    'any engine'
    """
    parts = [part.replace("=", " ") for part in engines_key(engines).split()]
    return ", ".join(parts) or "any engine"


def holds_for(key: str, engines: Engines) -> bool:
    """Whether a value found with these engines holds for a job with those.

    >>> holds_for("shape=inflate", {"shape": "inflate", "texture": "projection"})
    True
    >>> holds_for("shape=inflate", {"shape": "carve"}), holds_for("shape=inflate", {})
    (False, True)
    """
    found_with = dict(part.split("=", 1) for part in key.split())
    return all(engines.get(role, name) == name for role, name in found_with.items())


def engines_of_job(
    connection: Connection, job_id: str, pipeline: str, shape_key: str | None
) -> dict[str, str]:
    """Return the engines of a job that starts, by role; roles of which nothing is known miss.

    Parameters
    ----------
    shape_key : str or None
        Names the like work; None for the last run of the pipeline, whatever it did.
    """
    params = connection.scalar(select(JobRow.params).where(JobRow.id == job_id)) or {}
    return engines_of_last_run(connection, pipeline, shape_key) | _asked_for(params)


def engines_of_last_run(
    connection: Connection, pipeline: str, shape_key: str | None = None
) -> dict[str, str]:
    """Return the engines of the last run of a pipeline that went well; {} without one."""
    if not inspect(connection).has_table(RUNS.name):  # the first run makes it
        return {}
    alike = [RUNS.c.pipeline == pipeline, RUNS.c.status == RunStatus.OK.value]
    if shape_key is not None:
        alike.append(RUNS.c.shape_key == shape_key)
    newest = select(RUNS.c.engine).where(*alike)
    newest = newest.order_by(RUNS.c.started_at.desc(), RUNS.c.id.desc()).limit(1)
    return dict(connection.scalar(newest) or {})


def _asked_for(params: Mapping[str, Any]) -> dict[str, str]:
    asked = {role: params.get(name) for role, name in ASKED_BY.items()}
    return {role: str(name) for role, name in asked.items() if name not in (None, AUTO)}


def _counts(role: str) -> bool:
    return role != BACKGROUND
