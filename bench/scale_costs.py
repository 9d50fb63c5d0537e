"""What one operation costs the database and Redis, measured on this machine."""

from __future__ import annotations

import multiprocessing
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import psutil
from sqlalchemy import insert

from backend.catalog import StageName
from backend.jobs.broker import find_redis_server
from backend.jobs.claims import ClaimedJob, Claims
from backend.jobs.events import EventLog
from backend.jobs.records import OutputRecord
from backend.jobs.redis_url import connect
from backend.jobs.schema import JobRow
from backend.jobs.states import EventType, JobState
from backend.jobs.store import JobStore, NewJob
from backend.units import SystemClock, new_id
from bench.scratch_postgres import scratch_postgres

STAGES = tuple(stage.value for stage in list(StageName)[:7])
OUTPUTS = tuple(
    OutputRecord(name, name.rpartition(".")[2], "model", 3_000_000, "0" * 64)
    for name in ("model.glb", "model_obj.zip", "model.stl", "thumbnail.png")
)
WAITING, ENDED = 900, 3000
HAMMER_S = 3.0
CLIENTS = 4


@dataclass(frozen=True)
class Cost:
    """What one operation takes.

    Parameters
    ----------
    wall_s : float
        From call to answer when nobody else is there, in seconds: the median.
    server_s : float
        Of that, the time that the server spends and cannot give to others, in seconds.
    client_s : float
        CPU time of the caller, in seconds.
    walls : list of float
        Every call, in seconds.
    has_server : bool
        Whether a server process was looked at. Without one the whole call counts as its time.
    """

    wall_s: float
    server_s: float
    client_s: float
    walls: list[float] = field(repr=False)
    has_server: bool = True


@dataclass(frozen=True)
class Measured:
    """Costs on one database, and how many transactions a second several clients got out of it."""

    database: str
    costs: dict[str, Cost]
    hammered_per_s: float


@contextmanager
def sqlite_url() -> Iterator[tuple[str, None]]:
    """A database file in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="mk-scale-") as folder:
        yield f"sqlite:///{folder}/jobs.sqlite3", None


@contextmanager
def postgres_url() -> Iterator[tuple[str, psutil.Process]]:
    """A cluster whose commits wait for the disk."""
    with scratch_postgres(durable=True) as cluster:
        yield cluster.url(), psutil.Process(cluster.process.pid)


def measure_database(name: str) -> Measured:
    """Measure each kind of transaction, alone and with several clients at once."""
    opened = postgres_url() if name == "postgresql" else sqlite_url()
    with opened as (url, server):
        store = JobStore(url, max_queued_jobs=100_000)
        fill(store)
        claims = Claims(store)
        held = [claims.claim("gpu", "bench:1:1")[0] for _ in range(50)]
        operations = _operations(store, claims, held)
        costs = {
            kind: measure(act, 200 if kind != "finish" else len(held), server)
            for kind, act in operations.items()
        }
        store.close()
        return Measured(name, costs, hammer(url))


def fill(store: JobStore) -> None:
    """Jobs that ended and jobs that wait, as on a server in use."""
    now = store.clock.now()
    for number in range(WAITING):
        store.submit(new_job(number))
    base = {
        "pipeline": "image_to_3d", "name": "doll.png", "status": JobState.SUCCEEDED.value,
        "queue": "gpu", "priority": 0, "params": {"preset": "draft"}, "inputs": ["image.png"],
        "batch_key": "b", "cost_key": "other", "max_attempts": 3, "attempt": 1, "progress": 100.0,
        "engine": {}, "facts": {}, "warnings": [], "version": 9,
    }  # fmt: skip
    rows = [
        base | {"id": new_id(now - timedelta(minutes=number)), "created_at": now,
                "started_at": now, "finished_at": now}
        for number in range(ENDED)
    ]  # fmt: skip
    with store.writer.begin() as connection:
        connection.execute(insert(JobRow), rows)


def new_job(number: int) -> NewJob:
    """A job like those that the web process makes."""
    return NewJob(
        id=new_id(SystemClock().now()),
        pipeline="image_to_3d",
        name=f"doll {number}.png",
        params={"preset": "draft", "seed": number},
        queue="gpu",
        inputs=("image.png",),
        stages=STAGES,
        batch_key=uuid.uuid4().hex,
        cost_key="image_to_3d:draft",
        idempotency_key=uuid.uuid4().hex,
        body_sha256="0" * 64,
    )


def _operations(
    store: JobStore, claims: Claims, held: list[ClaimedJob]
) -> dict[str, Callable[[int], object]]:
    job, waiting = held[0], store.submit(new_job(0))[0]
    values = {"status": "running", "progress": 40.0, "step": 4, "steps": 10}
    return {
        "submit": lambda number: store.submit(new_job(number)),
        "claim": lambda _: claims.claim("gpu", "bench:2:2"),
        "stage write": lambda number: claims.update_stage(
            job, STAGES[number % len(STAGES)], 10.0, values
        ),
        "lease renewal": lambda _: claims.renew(job),
        "cancel look": lambda _: claims.is_stopped(job),
        "status, running": lambda _: store.get(job.id),
        "status, waiting": lambda _: store.get(waiting.id),
        "counts": lambda _: store.counts(),
        "finish": lambda number: claims.finish(held[number], OUTPUTS, {}),
    }


def measure(act: Callable[[int], object], n: int, server: psutil.Process | None) -> Cost:
    """Time calls; without a server process the whole call is held against all others."""
    if n > 100:  # the operation can be repeated: get connections and plans ready
        for number in range(20):
            act(number)
    walls = []
    spent_s, began_s = (cpu_s(server) if server else 0.0), time.process_time()
    for number in range(n):
        started_s = time.perf_counter()
        act(number)
        walls.append(time.perf_counter() - started_s)
    client_s = (time.process_time() - began_s) / n
    wall_s = sorted(walls)[n // 2]
    server_s = (cpu_s(server) - spent_s) / n if server else wall_s
    return Cost(wall_s, server_s, client_s, walls, server is not None)


def cpu_s(process: psutil.Process) -> float:
    """CPU seconds of a process and its children."""
    total = 0.0
    for each in (process, *process.children(recursive=True)):
        try:
            times = each.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def hammer(url: str) -> float:
    """Stage writes per second that four processes get done together."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(CLIENTS, mp_context=context) as pool:
        return sum(pool.map(_hammer, [url] * CLIENTS, range(CLIENTS)))


def _hammer(url: str, number: int) -> float:
    store = JobStore(url)
    claims = Claims(store)
    (job,) = claims.claim("gpu", f"hammer{number}:1:1")
    done, started_s = 0, time.perf_counter()
    while time.perf_counter() - started_s < HAMMER_S:
        claims.update_stage(job, STAGES[done % len(STAGES)], 10.0, {"progress": 40.0})
        done += 1
    elapsed_s = time.perf_counter() - started_s
    store.close()
    return done / elapsed_s


def measure_redis() -> dict[str, Cost]:
    """One event (counter, entry, expiry) and one look at a cancel flag."""
    with tempfile.TemporaryDirectory(prefix="mk-scale-") as folder:
        path = Path(folder) / "r.sock"
        command = [str(find_redis_server()), "--port", "0", "--unixsocket", str(path),
                   "--dir", folder, "--save", "", "--appendonly", "yes"]  # fmt: skip
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            while not path.exists():
                time.sleep(0.02)
            url = f"unix://{path}"
            connect(url).ping()
            events, server = EventLog(url), psutil.Process(process.pid)
            data = {"stage": "geometry", "step": 3, "steps": 10, "progress": 41.0}
            costs = {
                "event": measure(
                    lambda n: events.publish(f"job{n % 50}", EventType.PROGRESS, data), 3000, server
                ),
                "cancel flag": measure(lambda n: events.has_cancel_flag(f"job{n}"), 3000, server),
            }
            events.close()
            process.terminate()
    return costs
