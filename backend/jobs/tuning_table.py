"""The SQL tables of settings that were changed while the server runs, and of trials of advice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    DateTime,
    Engine,
    Index,
    MetaData,
    Row,
    String,
    Table,
    inspect,
)
from sqlalchemy.exc import SQLAlchemyError

from backend.profiling.experiment import Experiment, ExperimentState
from backend.profiling.run_table import aware_utc
from backend.units import iso

METADATA = MetaData()
OVERRIDES = Table(
    "runtime_settings",
    METADATA,
    Column("name", String(40), primary_key=True),
    # Each value is kept as {"value": ...}: a bare null would not tell None from nothing.
    Column("value", JSON, nullable=False),
    Column("start_value", JSON, nullable=False),
    Column("previous", JSON, nullable=False),
    Column("experiment_id", String(26)),
    Column("changed_at", DateTime, nullable=False),
)
EXPERIMENTS = Table(
    "experiments",
    METADATA,
    Column("id", String(26), primary_key=True),
    Column("advice_id", String(120), nullable=False),
    Column("pipeline", String(80), nullable=False),
    Column("shape_key", String(400), nullable=False),
    Column("title", String(300), nullable=False),
    Column("state", String(20), nullable=False, index=True),
    # The setting while it is on trial, else null: no two trials change the same one.
    Column("on_trial", String(40), unique=True),
    Column("document", JSON, nullable=False),
    Column("result", JSON),
    Column("applied_at", DateTime),
    Column("decided_at", DateTime),
    Index("experiments_alike", "pipeline", "shape_key", "advice_id"),
)


def create_missing(writer: Engine) -> None:
    """Create the tables if they are missing; another process may do so at the same time."""
    try:
        METADATA.create_all(writer)
    except SQLAlchemyError:
        found = inspect(writer)
        if not all(found.has_table(name) for name in METADATA.tables):
            raise


@dataclass(frozen=True)
class StoredExperiment:
    """The trial of one piece of advice on one kind of work, and what came of it.

    Parameters
    ----------
    id : str
        Its own; the same advice may be tried again later, or on other work.
    result : mapping or None
        ``ratio`` (old time over new), its bounds ``low`` and ``high`` (None from too few pairs),
        and ``pairs``, the pairs of jobs behind it; None before the first pair.
    """

    id: str
    pipeline: str
    shape_key: str
    title: str
    experiment: Experiment
    result: Mapping[str, Any] | None
    applied_at: datetime | None
    decided_at: datetime | None

    def to_document(self) -> dict[str, Any]:
        """Return it JSON-ready."""
        test, result = self.experiment, self.result or {}
        low, high = result.get("low"), result.get("high")
        return {
            "id": self.id,
            "advice_id": test.advice_id,
            "pipeline": self.pipeline,
            "shape_key": self.shape_key,
            "title": self.title,
            "setting": test.setting,
            "from": test.old,
            "to": test.new,
            "state": test.state.value,
            "reason": test.reason.value if test.reason else None,
            "ratio": result.get("ratio"),
            "ci": None if low is None or high is None else [low, high],
            "pairs_done": result.get("pairs", 0),
            "pairs": test.pairs,
            "applied_at": iso(self.applied_at),
            "decided_at": iso(self.decided_at),
        }


def read_experiment(row: Row[Any]) -> StoredExperiment:
    """Read a row of ``experiments``."""
    return StoredExperiment(
        id=row.id,
        pipeline=row.pipeline,
        shape_key=row.shape_key,
        title=row.title,
        experiment=Experiment.from_document(row.document),
        result=row.result,
        applied_at=_aware(row.applied_at),
        decided_at=_aware(row.decided_at),
    )


def experiment_values(test: Experiment) -> dict[str, Any]:
    """Write the columns that follow the state of a trial."""
    return {
        "advice_id": test.advice_id,
        "state": test.state.value,
        "on_trial": test.setting if test.state is ExperimentState.APPLIED else None,
        "document": test.to_document(),
        "result": _result(test),
    }


def _result(test: Experiment) -> dict[str, Any] | None:
    # Worked out where jobs are measured: who only lists trials needs no statistics.
    found = test.speed_up()
    if found is None:
        return None
    return {
        "ratio": found.ratio, "low": found.low, "high": found.high, "pairs": found.n_before
    }  # fmt: skip


def _aware(moment: datetime | None) -> datetime | None:
    return None if moment is None else aware_utc(moment)
