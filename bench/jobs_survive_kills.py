"""Are jobs lost, or finished twice, when processes are killed at random?

Compared with plain Celery tasks on the same Redis under the same kills, in the same run.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil
import redis
from celery import Celery

from backend.jobs.broker import redis_command, redis_url
from backend.jobs.events import FROM_START
from backend.jobs.redis_url import broker_url, connect
from backend.jobs.service import JobService
from backend.jobs.states import EventType, JobState
from backend.settings import Settings
from bench.record import Figure, report
from bench.running_server import REPO

PLAIN_MODULE = "bench.jobs_survive_kills"
DONE_KEY = "plain:done"
ENDED_S = 120.0

plain = Celery("plain", broker=broker_url(os.environ.get("BENCH_REDIS", "redis://127.0.0.1:1")))
plain.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    worker_pool_start_method="spawn",
    broker_transport_options={"visibility_timeout": 5, "unacked_restore_interval": 1},
)


@plain.task(name="plain.work")  # type: ignore[untyped-decorator]
def plain_work(number: int) -> None:
    """The baseline: note that task ``number`` was done."""
    time.sleep(0.01)
    connect(os.environ["BENCH_REDIS"]).rpush(DONE_KEY, number)


@dataclass
class Arena:
    """A private Redis and one worker, both killed now and then."""

    settings: Settings
    redis: subprocess.Popen[bytes] | None = None
    worker: subprocess.Popen[bytes] | None = None
    kills: Counter[str] = field(default_factory=Counter)

    def start_redis(self) -> None:
        """Start Redis on its append-only file."""
        self.redis = subprocess.Popen(
            redis_command(self.settings.data_dir), stdout=subprocess.DEVNULL
        )
        client = connect(self.settings.redis_url)
        while True:
            try:
                client.ping()
                return
            except redis.RedisError:
                time.sleep(0.02)

    def start_worker(self, app: str, queue: str) -> None:
        """Start a Celery worker in a group of its own."""
        command = [sys.executable, "-m", "celery", "-A", app, "worker", "-Q", queue]
        self.worker = subprocess.Popen(
            [*command, "-P", "prefork", "-c", "1", "--without-gossip", "--without-mingle"],
            cwd=REPO,
            env={
                **os.environ,
                **self.settings.to_env(),
                "BENCH_REDIS": self.settings.redis_url,
                "MESHKILN_WORKER_QUEUE": queue,
                "MESHKILN_PIPELINE_RUNNER": "tests.jobs.scripted_runner:run_briefly",
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def kill(self, what: str, app: str, queue: str) -> None:
        """Kill -9 and start again."""
        if what == "redis" and self.redis:
            self.redis.kill()
            self.redis.wait()
            self.start_redis()
        elif self.worker:
            children = psutil.Process(self.worker.pid).children()
            if what == "child" and children:
                children[-1].kill()
            else:
                self.stop_worker()
                self.start_worker(app, queue)
        self.kills[what] += 1

    def stop_worker(self) -> None:
        """Kill the worker's whole group."""
        if self.worker:
            os.killpg(self.worker.pid, signal.SIGKILL)
            self.worker.wait()

    def stop(self) -> None:
        """Kill everything."""
        self.stop_worker()
        if self.redis:
            self.redis.kill()
            self.redis.wait()


def kill_at_random(arena: Arena, app: str, queue: str, kills: int, rng: random.Random) -> None:
    """Kill something ``kills`` times, half a second to two apart."""
    for number in range(kills):
        time.sleep(rng.uniform(0.5, 2.0))
        arena.kill(("child", "worker", "redis")[number % 3], app, queue)


def our_jobs(settings: Settings, jobs: int, kills: int) -> tuple[dict[str, float], Counter[str]]:
    """Submit jobs while killing; returns counts and kills by kind."""
    arena = Arena(settings)
    arena.start_redis()
    arena.start_worker("backend.jobs.worker:app", "gpu")
    service = JobService(settings)
    service.start_background()
    ids = []
    for number in range(jobs):
        new = service.prepare("image_to_3d", {"preset": "draft"}, str(number))
        ids.append(service.submit(new, {"image.png": b"brief"})[0].id)
    kill_at_random(arena, "backend.jobs.worker:app", "gpu", kills, random.Random(0))
    counts = _settled(service, ids)
    arena.stop()
    service.close()
    return counts, arena.kills


def _settled(service: JobService, ids: list[str]) -> dict[str, float]:
    deadline_s = time.monotonic() + ENDED_S
    while time.monotonic() < deadline_s and service.store.waiting_queues():
        time.sleep(0.2)
    time.sleep(2)
    states = Counter(service.store.get(job_id).status for job_id in ids)
    ends = [
        sum(e.type is EventType.END for e in service.events.read_after(job_id, FROM_START))
        for job_id in ids
    ]
    return {
        "lost": states[JobState.QUEUED] + states[JobState.RUNNING] + states[JobState.FAILED],
        "finished twice": sum(count > 1 for count in ends),
        "done": states[JobState.SUCCEEDED],
    }


def plain_tasks(settings: Settings, jobs: int, kills: int) -> dict[str, float]:
    """The same load as plain Celery tasks."""
    arena = Arena(settings)
    arena.start_redis()
    plain.conf.broker_url = broker_url(settings.redis_url)
    arena.start_worker(f"{PLAIN_MODULE}:plain", "celery")
    for number in range(jobs):
        plain_work.delay(number)
    kill_at_random(arena, f"{PLAIN_MODULE}:plain", "celery", kills, random.Random(0))
    client = connect(settings.redis_url)
    deadline_s, quiet = time.monotonic() + ENDED_S, 0
    done: Counter[str] = Counter()
    while time.monotonic() < deadline_s and quiet < 30 and len(done) < jobs:
        before = len(done)
        done = Counter(map(str, client.lrange(DONE_KEY, 0, -1)))
        quiet = quiet + 1 if len(done) == before else 0
        time.sleep(0.5)
    arena.stop()
    return {
        "lost": jobs - len(done),
        "finished twice": sum(count > 1 for count in done.values()),
        "done": len(done),
    }


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--jobs", type=int, default=300)
    parser.add_argument("--kills", type=int, default=18)
    args = parser.parse_args()
    base = Settings.from_env({}, lease_s=6.0, reconcile_s=1.0, disk_floor_mb=1)
    base = replace(base, max_attempts=50, max_queued_jobs=10_000)
    results = {}
    for name, run in (("plain Celery", plain_tasks), ("ours", our_jobs)):
        with tempfile.TemporaryDirectory(prefix="mk-kill-") as folder:
            data_dir = Path(folder)
            settings = replace(base, data_dir=data_dir, redis_url=redis_url(data_dir))
            found = run(settings, args.jobs, args.kills)
            results[name] = found[0] if isinstance(found, tuple) else found
    figures = [
        Figure.of(f"{name}: {what}", "jobs", [count])
        for name, counts in results.items()
        for what, count in counts.items()
    ]
    report("jobs_survive_kills", figures, {"jobs": args.jobs, "kills": args.kills}, args.json)


if __name__ == "__main__":
    main()
