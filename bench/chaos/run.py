"""One run: clients, followers and the killer against a real server, then the checks."""

from __future__ import annotations

import queue
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from backend.jobs.artefacts.local_store import ArtefactStore
from backend.jobs.retention import Retention
from backend.jobs.states import TERMINAL
from backend.jobs.store import JobStore
from backend.settings import Settings
from backend.units import SystemClock
from bench.chaos.clients import Client, Orders
from bench.chaos.followers import Follower
from bench.chaos.footprint import Footprint, footprints, lasting_footprints
from bench.chaos.invariants import (
    Violation,
    check_events,
    check_files,
    check_keys,
    check_rows,
    check_terminal,
    stored_jobs,
)
from bench.chaos.killer import Killer
from bench.chaos.log import ClientLog
from bench.running_server import RunningServer, running_server

CLIENTS = 8
FOLLOWERS = 24
OUTSTANDING = 60
ROUND_S = 60.0
SETTLE_S = 120.0
WARM_SHARE = 0.1
JANITOR_LATER = timedelta(hours=2)  # files without a job are kept for an hour
ENVIRONMENT = {
    "MESHKILN_PIPELINE_RUNNER": "bench.chaos.pipeline:run_hashing",
    "MESHKILN_MAX_ATTEMPTS": "1000",
    "MESHKILN_DISK_FLOOR_MB": "1",
    "MESHKILN_MAX_SOCKETS_PER_IP": "256",
    "MESHKILN_MAX_QUEUED_JOBS": "10000",
}


@dataclass
class Outcome:
    """What happened, and what should not have."""

    jobs: int = 0
    states: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    resent: int = 0
    events: int = 0
    reconnects: int = 0
    attempts: int = 0
    elapsed_s: float = 0.0
    settle_s: float = 0.0
    warm: dict[int, Footprint] = field(default_factory=dict)
    end: dict[int, Footprint] = field(default_factory=dict)
    violations: list[Violation] = field(default_factory=list)

    def facts(self) -> dict[str, Any]:
        """Return the counts for a record."""
        return {
            "jobs": self.jobs,
            "states": dict(self.states),
            "kills": dict(self.kills),
            "resent_requests": self.resent,
            "events": self.events,
            "reconnects": self.reconnects,
            "attempts": self.attempts,
            "elapsed_s": round(self.elapsed_s, 1),
            "settle_s": round(self.settle_s, 1),
        }


class _Later(SystemClock):
    """The machine's clock, some hours on."""

    def now(self) -> datetime:
        return super().now() + JANITOR_LATER


def run_chaos(jobs: int, kills: int, seed: int) -> Outcome:
    """Run ``jobs`` jobs under ``kills`` kills and check everything."""
    with running_server(**ENVIRONMENT) as server:
        store = JobStore(Settings(data_dir=server.data_dir).sql_url)
        run = _Run(server, store, jobs, seed)
        outcome = run.through(kills)
        server.stop()
        outcome.violations += _after_the_janitor(server, store)
        store.close()
    return outcome


class _Run:
    def __init__(self, server: RunningServer, store: JobStore, jobs: int, seed: int) -> None:
        self._server = server
        self._store = store
        self._jobs = jobs
        self._rng = random.Random(seed)
        self._log = ClientLog()
        self._to_follow: queue.Queue[str | None] = queue.Queue()
        self._stop = threading.Event()
        self._orders = Orders(jobs, seed, self._has_room)
        self._ended = 0
        self._outcome = Outcome()

    def through(self, kills: int) -> Outcome:
        """Submit, kill, settle, check."""
        began_s = time.monotonic()
        clients = [
            Client(self._server.url, self._orders, self._log, self._to_follow)
            for _ in range(CLIENTS)
        ]
        followers = [
            Follower(self._server.url, self._to_follow, self._log, self._stop)
            for _ in range(FOLLOWERS)
        ]
        for thread in [*clients, *followers]:
            thread.start()
        self._wait_ended(int(self._jobs * WARM_SHARE), SETTLE_S)
        # Where processes are killed, too few live long enough to tell of memory.
        look = footprints if kills else lasting_footprints
        self._outcome.warm = look(self._server.process.pid)
        killer = Killer(self._server.process.pid, self._rng)
        killer.run(kills, lambda done: self._wait_ended(self._jobs * done // kills - 20, ROUND_S))
        stopped_s = time.monotonic()
        self._wait_ended(self._jobs, SETTLE_S + self._jobs * 0.2)
        self._outcome.settle_s = time.monotonic() - stopped_s
        for _ in followers:
            self._to_follow.put(None)
        _join(followers, time.monotonic() + SETTLE_S)
        self._orders.stop.set()
        self._stop.set()
        _join([*clients, *followers], time.monotonic() + 20)
        self._outcome.elapsed_s = time.monotonic() - began_s
        self._outcome.kills = killer.kills
        self._outcome.end = look(self._server.process.pid)
        return self._checked()

    def _has_room(self) -> bool:
        return len(self._log.acknowledged) - self._ended < OUTSTANDING

    def _wait_ended(self, wanted: int, patience_s: float) -> None:
        """Wait until so many jobs have ended, for as long as the patience lasts."""
        deadline_s = time.monotonic() + patience_s
        while time.monotonic() < deadline_s:
            try:
                counts = self._store.counts()
            except SQLAlchemyError:
                counts = {}
            self._ended = sum(count for state, count in counts.items() if state in TERMINAL)
            if self._ended >= wanted:
                return
            time.sleep(0.1)

    def _checked(self) -> Outcome:
        outcome, log = self._outcome, self._log
        rows = stored_jobs(self._store)
        outcome.jobs = len(log.acknowledged)
        outcome.states = Counter(job.status.value for job in rows.values())
        outcome.attempts = sum(job.attempt for job in rows.values())
        outcome.resent = log.resent
        outcome.events = sum(len(one.events) for one in log.followed)
        outcome.reconnects = sum(max(0, one.connections - 1) for one in log.followed)
        for check in (check_rows, check_keys, check_terminal):
            outcome.violations += check(log, rows)
        for followed in log.followed:
            outcome.violations += check_events(followed)
        if outcome.jobs < self._jobs:
            missing = f"{outcome.jobs} of {self._jobs} were acknowledged in time"
            outcome.violations.append(Violation("not acknowledged", "", missing))
        return outcome


def _after_the_janitor(server: RunningServer, store: JobStore) -> Iterator[Violation]:
    """Sweep as a server would two hours later, and compare files with rows."""
    settings = Settings(data_dir=server.data_dir)
    later = JobStore(settings.sql_url, _Later())
    Retention(settings, later, ArtefactStore(settings.artefact_dir)).sweep()
    later.close()
    return check_files(settings.artefact_dir, stored_jobs(store))


def _join(threads: list[Any], deadline_s: float) -> None:
    for thread in threads:
        thread.join(timeout=max(0.1, deadline_s - time.monotonic()))
