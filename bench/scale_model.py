"""A discrete-event model of many GPUs that share a database, a Redis, a file store and web hosts.

Each GPU is a process that claims, works, reports and stores, and waits whenever it must. Each
shared thing is a queue with a number of places; what it takes from a place is what was measured.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, field

from bench.scale_costs import STAGES, Cost

Step = tuple["Resource | None", float]
Process = Generator[Step, None, None]


@dataclass
class Resource:
    """Something shared with a number of places, first come, first served."""

    name: str
    places: int
    waiting: deque[tuple[Process, float]] = field(default_factory=deque)
    used: int = 0
    busy_s: float = 0.0


class Simulation:
    """Runs processes that take places and wait.

    Parameters
    ----------
    warm_up_s : float
        What happens before is not counted.
    """

    def __init__(self, warm_up_s: float) -> None:
        self.now_s = 0.0
        self.warm_up_s = warm_up_s
        self._order = itertools.count()
        self._agenda: list[tuple[float, int, Process, Resource | None]] = []

    def start(self, process: Process, at_s: float = 0.0) -> None:
        """Begin a process."""
        heapq.heappush(self._agenda, (at_s, next(self._order), process, None))

    def run(self, until_s: float) -> None:
        """Let time pass."""
        while self._agenda and self._agenda[0][0] <= until_s:
            self.now_s, _, process, left = heapq.heappop(self._agenda)
            if left is not None:
                self._leave(left)
            self._advance(process)
        self.now_s = until_s

    def _advance(self, process: Process) -> None:
        try:
            resource, seconds = next(process)
        except StopIteration:
            return
        if resource is None:
            heapq.heappush(self._agenda, (self.now_s + seconds, next(self._order), process, None))
        elif resource.used < resource.places:
            self._enter(resource, process, seconds)
        else:
            resource.waiting.append((process, seconds))

    def _enter(self, resource: Resource, process: Process, seconds: float) -> None:
        resource.used += 1
        if self.now_s >= self.warm_up_s:
            resource.busy_s += seconds
        heapq.heappush(self._agenda, (self.now_s + seconds, next(self._order), process, resource))

    def _leave(self, resource: Resource) -> None:
        resource.used -= 1
        if resource.waiting:
            self._enter(resource, *resource.waiting.popleft())


@dataclass(frozen=True)
class Load:
    """What the jobs are like.

    Parameters
    ----------
    job_s : float
        Mean time of work on the GPU, in seconds.
    upload_mb, result_mb : float
        Bytes in and out. Both are stored, read back to check them, and fetched once.
    status_every_s : float
        How often the client of a running job asks for its status.
    """

    job_s: float = 10.0
    upload_mb: float = 2.0
    result_mb: float = 12.0
    status_every_s: float = 2.0


@dataclass(frozen=True)
class Setup:
    """What the GPUs share.

    Parameters
    ----------
    database : str
        ``sqlite`` or ``postgresql``.
    database_places : int
        Cores of PostgreSQL; SQLite has one write lock.
    web_processes, redis_servers : int
        How many.
    store_mb_per_s : float
        Bandwidth of the file store.
    progress_every_s : float
        How often the progress of a job goes into its row.
    """

    name: str
    database: str
    database_places: int = 1
    web_processes: int = 1
    redis_servers: int = 1
    store_mb_per_s: float = 1000.0
    progress_every_s: float = 1.0


@dataclass(frozen=True)
class Outcome:
    """What came of it.

    Parameters
    ----------
    gpu_share : float
        Share of the time in which the GPUs worked, 0 to 1.
    claim_p95_s, stage_p95_s : float
        What a worker waits for a job, and for one write, in seconds.
    busy : dict
        Share of its time in which each shared thing was used, 0 to 1.
    """

    gpus: int
    gpu_share: float
    jobs_per_s: float
    claim_p95_s: float
    stage_p95_s: float
    busy: dict[str, float]


class Fleet:
    """Many GPUs under full load: a job always waits for each.

    Parameters
    ----------
    gpus : int
        How many.
    setup, load
        What they share and what they do.
    costs : dict of str to Cost
        What was measured, by name.
    seed : int
        Of the random numbers.
    """

    def __init__(
        self, gpus: int, setup: Setup, load: Load, costs: dict[str, Cost], seed: int = 0
    ) -> None:
        self._gpus = gpus
        self._setup = setup
        self._load = load
        self._costs = costs
        self._random = random.Random(seed)
        self.database = Resource("database", setup.database_places)
        self.redis = Resource("redis", setup.redis_servers)
        self.store = Resource("store", 8)
        self.web = Resource("web", setup.web_processes)
        self._worked_s = 0.0
        self._ended = 0
        self._claims: list[float] = []
        self._writes: list[float] = []
        self._simulation = Simulation(0.0)

    def run(self, span_s: float) -> Outcome:
        """Simulate ``span_s`` seconds after a warm-up of a third of that."""
        warm_up_s = span_s / 3
        self._simulation = Simulation(warm_up_s)
        for _ in range(self._gpus):
            begins_s = self._random.uniform(0, warm_up_s / 2)
            self._simulation.start(self._gpu(), begins_s)
        self._simulation.start(self._clients())
        self._simulation.run(warm_up_s + span_s)
        shared = (self.database, self.redis, self.store, self.web)
        return Outcome(
            gpus=self._gpus,
            gpu_share=self._worked_s / (span_s * self._gpus),
            jobs_per_s=self._ended / span_s,
            claim_p95_s=_p95(self._claims),
            stage_p95_s=_p95(self._writes),
            busy={each.name: each.busy_s / span_s / each.places for each in shared},
        )

    def _counts(self) -> bool:
        return self._simulation.now_s >= self._simulation.warm_up_s

    def _gpu(self) -> Process:
        while True:
            asked_s = self._simulation.now_s
            yield from self._transaction("claim")
            if self._counts():
                self._claims.append(self._simulation.now_s - asked_s)
            yield from self._transfer(self._load.upload_mb)
            yield from self._work()
            yield from self._transfer(2 * self._load.result_mb)  # stored, then read back
            yield from self._transaction("finish")
            yield from self._event(2)
            if self._counts():
                self._ended += 1

    def _work(self) -> Process:
        """Stages one after the other; the GPU stands still while a report is on its way."""
        left_s = self._random.expovariate(1 / self._load.job_s)
        each_s = left_s / len(STAGES)
        next_row_s = next_flag_s = 0.0
        done_s = 0.0
        for _ in STAGES:
            yield from self._report()
            stage_end_s = done_s + each_s
            while done_s < stage_end_s:
                slice_s = min(0.2, stage_end_s - done_s)
                yield None, slice_s
                done_s += slice_s
                if self._counts():
                    self._worked_s += slice_s
                yield from self._event(1)
                if done_s >= next_flag_s:
                    next_flag_s = done_s + 1.0
                    yield from self._transaction("cancel look", writes=False)
                if done_s >= next_row_s:
                    next_row_s = done_s + self._setup.progress_every_s
                    yield from self._transaction("stage write")
            yield from self._report()

    def _report(self) -> Process:
        asked_s = self._simulation.now_s
        yield from self._transaction("stage write")
        if self._counts():
            self._writes.append(self._simulation.now_s - asked_s)
        yield from self._event(1)

    def _clients(self) -> Process:
        """Submits, status requests, lease renewals and downloads, as they come from outside.

        As many jobs are submitted as are finished, so that the queue stays as long as it is.
        """
        kinds = [self._submit, self._status, self._renewal, self._download]
        per_gpu = [1 / self._load.job_s, 1 / self._load.status_every_s, 0.1, 1 / self._load.job_s]
        total = self._gpus * sum(per_gpu)
        while True:
            yield None, self._random.expovariate(total)
            (kind,) = self._random.choices(kinds, per_gpu)
            self._simulation.start(kind(), self._simulation.now_s)

    def _submit(self) -> Process:
        yield self.web, self._costs["web submit"].client_s
        yield from self._transfer(2 * self._load.upload_mb)  # stored, then read back
        yield from self._transaction("submit")

    def _status(self) -> Process:
        yield self.web, self._costs["web status"].client_s
        yield from self._transaction("status, running", writes=False)

    def _renewal(self) -> Process:
        yield from self._transaction("lease renewal")

    def _download(self) -> Process:
        yield from self._transfer(self._load.result_mb)

    def _transaction(self, kind: str, *, writes: bool = True) -> Process:
        cost = self._costs[kind]
        if self._setup.database == "sqlite":
            # One writer at a time; readers wait for nobody.
            yield (self.database if writes else None), cost.wall_s
            return
        yield self.database, cost.server_s
        yield None, max(0.0, cost.wall_s - cost.server_s)  # network, disk and the caller itself

    def _event(self, count: int) -> Process:
        cost = self._costs["event"]
        yield self.redis, count * cost.server_s
        yield None, count * max(0.0, cost.wall_s - cost.server_s)

    def _transfer(self, size_mb: float) -> Process:
        """Eight transfers at a time share the bandwidth."""
        yield self.store, size_mb / self._setup.store_mb_per_s * self.store.places


def _p95(values: list[float]) -> float:
    return sorted(values)[int(0.95 * (len(values) - 1))] if values else float("nan")
