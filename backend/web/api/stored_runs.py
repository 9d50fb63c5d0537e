"""The histograms of stored runs, counted once and kept for the next start of the server."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Select, Text, cast, select
from sqlalchemy.exc import SQLAlchemyError

from backend.jobs.measurements import MeasuredOn, Measurements
from backend.jobs.service import JobService
from backend.profiling.exports.prometheus import Metric
from backend.profiling.exports.run_tally import RunTally, TalliedRun
from backend.profiling.history import KEPT_RUNS
from backend.profiling.run_table import RUNS
from backend.units import new_id

# Clocks of several machines may disagree by less than this about when a run was stored.
OVERLAP = timedelta(minutes=5)
# To read a thousand runs takes 30 ms: the tally is kept, but not with every new run.
KEPT_EVERY_S = 60.0
AT_ONCE = 250
TALLY = MeasuredOn("run_tally", "", "")

log = logging.getLogger(__name__)


class StoredRuns:
    """Counts the stored runs, each once, and reads only what may be new.

    Parameters
    ----------
    service : JobService
    """

    def __init__(self, service: JobService) -> None:
        self._service = service
        self._kept = Measurements(service.store.engine, service.clock)
        self._tally = RunTally()
        self._newest: str | None = None
        self._floor: str | None = None
        self._kept_at_s: float | None = None
        self._lock = threading.Lock()

    def metrics(self) -> list[Metric]:
        """Return the histograms of all runs so far."""
        with self._lock:
            self._look()
            return self._tally.metrics()

    def _look(self) -> None:
        newest, now = self._service.run_history.newest(), self._service.clock.now()
        if newest == self._newest:
            return
        if self._floor is None:
            self._resume()
        for runs in self._uncounted():
            self._tally.count(runs)
        # The first ten characters of a name are the moment when the run was stored.
        self._newest, self._floor = newest, new_id(now - OVERLAP)[:10]
        self._tally.forget_below(self._floor)
        self._keep()

    def _resume(self) -> None:
        """Go on where the last process of this server was, if it left word."""
        found = self._kept.newest(TALLY)
        if found is None:
            return
        try:
            tally = RunTally.from_document(found.document["tally"])
            floor = str(found.document["floor"])
        except (KeyError, TypeError, ValueError):
            log.warning("the counts of stored runs cannot be read; they are counted again")
            return
        if tally is not None:
            self._tally, self._floor = tally, floor
            self._kept_at_s = self._service.clock.monotonic_s()

    def _keep(self) -> None:
        now_s = self._service.clock.monotonic_s()
        if self._kept_at_s is not None and now_s - self._kept_at_s < KEPT_EVERY_S:
            return
        self._kept_at_s = now_s
        try:
            self._kept.keep(TALLY, {"tally": self._tally.to_document(), "floor": self._floor}, 1)
        except SQLAlchemyError as error:  # the next start counts again, which only takes longer
            log.info("the counts of stored runs are not kept (%s)", type(error).__name__)

    def _uncounted(self) -> Iterator[list[TalliedRun]]:
        """Read what is counted of the runs that may be new, and nothing else."""
        with self._service.store.engine.connect() as connection:
            if self._floor is None:
                newest_first = (RUNS.c.started_at.desc(), RUNS.c.id.desc())
                query = _counted().order_by(*newest_first).limit(KEPT_RUNS)
                rows = connection.execute(query).all()
                yield from (_parsed(rows[at : at + AT_ONCE]) for at in range(0, len(rows), AT_ONCE))
                return
            lately = connection.scalars(select(RUNS.c.id).where(RUNS.c.id >= self._floor)).all()
            names = self._tally.uncounted(lately)
            for at in range(0, len(names), AT_ONCE):
                part = _counted().where(RUNS.c.id.in_(names[at : at + AT_ONCE]))
                yield _parsed(connection.execute(part).all())


def _counted() -> Select[Any]:
    columns = (RUNS.c.id, RUNS.c.pipeline, RUNS.c.status, RUNS.c.total_s, RUNS.c.queue_s)
    return select(*columns, cast(RUNS.c.stages, Text).label("stages"))


def _parsed(rows: Sequence[Any]) -> list[TalliedRun]:
    """Read the stages as one text, which is faster than hundreds."""
    stages = json.loads(f"[{','.join(row.stages for row in rows)}]")
    return [
        TalliedRun(row.id, row.pipeline, row.status, row.total_s, row.queue_s, own)
        for row, own in zip(rows, stages, strict=True)
    ]
