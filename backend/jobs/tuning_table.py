"""The SQL tables of settings that were changed while the server runs, and of trials of advice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    DateTime,
    Index,
    MetaData,
    Row,
    String,
    Table,
)

from backend.profiling.experiment import Experiment, ExperimentState
from backend.profiling.run_table import aware_utc
from backend.units import iso

LONGEST_NAME = 200
EXPIRED = "expired"

METADATA = MetaData()
OVERRIDES = Table(
    "setting_overrides",
    METADATA,
    Column("name", String(40), primary_key=True),
    # The start value it replaces, as JSON text; with another one it does not count.
    Column("start_key", String(80), primary_key=True),
    # Which work it holds for; empty for all.
    Column("pipeline", String(80), primary_key=True),
    Column("device", String(LONGEST_NAME), primary_key=True),
    # Each value is kept as {"value": ...}: a bare null would not tell None from nothing.
    Column("value", JSON, nullable=False),
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


@dataclass(frozen=True)
class StoredExperiment:
    """The trial of one piece of advice on one kind of work, and what came of it.

    Parameters
    ----------
    id : str
        Its own; the same advice may be tried again later, or on other work.
    result : mapping or None
        ``ratio`` (old time over new), its bounds ``low`` and ``high`` (None from too few pairs),
        and ``pairs``, the pairs of jobs behind it, from the first pair on; ``reported_at``, when a
        job last told something; ``expired``, whether it ended because no job did for long.
    """

    id: str
    pipeline: str
    shape_key: str
    title: str
    experiment: Experiment
    result: Mapping[str, Any] | None
    applied_at: datetime | None
    decided_at: datetime | None

    @property
    def has_expired(self) -> bool:
        """Whether it ended because no job of its kind came any more."""
        return bool((self.result or {}).get("expired"))

    @property
    def heard_at(self) -> datetime | None:
        """When a job last told something, or when the trial began; None if it never did."""
        told = (self.result or {}).get("reported_at")
        return datetime.fromisoformat(told) if told else self.applied_at

    def expired(self, now: datetime) -> StoredExperiment:
        """Return it as it is once no job will come any more: the old value stays."""
        document = self.experiment.to_document() | {"state": ExperimentState.AUTO_REVERTED.value}
        return replace(
            self,
            experiment=Experiment.from_document(document),
            result={**(self.result or {}), "expired": True},
            decided_at=now,
        )

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
            "reason": EXPIRED if self.has_expired else test.reason.value if test.reason else None,
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


def experiment_values(test: Experiment, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Write the columns that follow the state of a trial.

    Parameters
    ----------
    more : mapping, optional
        What the result says beside the figures: ``reported_at``, ``expired``.
    """
    return {
        "advice_id": test.advice_id,
        "state": test.state.value,
        "on_trial": test.setting if test.state is ExperimentState.APPLIED else None,
        "document": test.to_document(),
        "result": {**_figures(test), **(more or {})} or None,
    }


def _figures(test: Experiment) -> dict[str, Any]:
    # Worked out where jobs are measured: who only lists trials needs no statistics.
    found = test.speed_up()
    if found is None:
        return {}
    return {
        "ratio": found.ratio, "low": found.low, "high": found.high, "pairs": found.n_before
    }  # fmt: skip


def _aware(moment: datetime | None) -> datetime | None:
    return None if moment is None else aware_utc(moment)
