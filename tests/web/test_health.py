from __future__ import annotations

import os

from backend.jobs.worker_status import write_status
from backend.units import SystemClock, iso


def beat(server, queue, **more):
    status = {"queue": queue, "host": "h", "pid": os.getpid(), "state": "idle", "mode": "cpu",
              "sampled_at": iso(SystemClock().now()), "current_job": None, "stage": None,
              "progress": None}  # fmt: skip
    write_status(server.service.events.client, status | more)


def test_healthz_needs_nothing(server):
    answer = server.client.get("/healthz")
    assert (answer.status_code, answer.json) == (200, {"status": "ok"})


def test_readyz_without_redis(server):
    answer = server.client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json["redis"].startswith("unavailable")
    assert answer.json["missing_workers"] == ["gpu", "cpu"]


def test_readyz_waits_for_both_workers(live_server):
    live_server.service.events.client.flushall()
    beat(live_server, "gpu")
    half = live_server.client.get("/readyz")
    assert (half.status_code, half.json["missing_workers"]) == (503, ["cpu"])
    beat(live_server, "cpu")
    whole = live_server.client.get("/readyz")
    assert (whole.status_code, whole.json["ready"]) == (200, True)
    assert all(0 <= worker["age_ms"] < 5000 for worker in whole.json["workers"])
