"""How long does a cancel take: waiting, running and agreeing, running and stuck?

Compared with waiting for the end of the job, in the same run.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import requests

from bench.record import Figure, report
from bench.running_server import RunningServer, running_server
from bench.submit_latency import photo_2mb

ENDS_S = 60.0
LOOK_S = 0.01
SLOW = {"preset": "high"}  # a few seconds
STUCK = "bench.stubborn_pipeline:run_stubborn"


def submit(url: str, picture: bytes, **params: str) -> str:
    """Submit a job with parameters; returns its id."""
    answer = requests.post(
        f"{url}/api/v1/jobs",
        files={"file": ("ball.jpg", picture)},
        data={"pipeline": "image_to_3d"} | params,
        timeout=60,
    )
    answer.raise_for_status()
    job_id: str = answer.json()["id"]
    return job_id


def wait_for(url: str, job_id: str, states: set[str], *, in_stage: bool = False) -> float:
    """Seconds until the job is in one of the states; with ``in_stage`` also in a stage."""
    started_s = time.perf_counter()
    while time.perf_counter() - started_s < ENDS_S:
        job = requests.get(f"{url}/api/v1/jobs/{job_id}", timeout=10).json()
        if job["status"] in states and (job["stage"] or not in_stage):
            return time.perf_counter() - started_s
        time.sleep(LOOK_S)
    raise RuntimeError(f"job {job_id} is {job['status']} after {ENDS_S:.0f} s")


def cancel(url: str, job_id: str) -> float:
    """Seconds from asking until the API says that the job is canceled."""
    started_s = time.perf_counter()
    requests.post(f"{url}/api/v1/jobs/{job_id}/cancel", timeout=10).raise_for_status()
    wait_for(url, job_id, {"canceled"})
    return time.perf_counter() - started_s


def cooperative(server: RunningServer, picture: bytes, rounds: int) -> dict[str, list[float]]:
    """Cancel a running job and one that waits behind it."""
    found: dict[str, list[float]] = {"whole": [], "running": [], "waiting": []}
    for number in range(rounds):
        first, second = submit(server.url, picture, **SLOW), submit(server.url, picture, **SLOW)
        wait_for(server.url, first, {"running"})
        found["waiting"].append(cancel(server.url, second))
        time.sleep(0.2 * (number % 5))  # in different stages
        found["running"].append(cancel(server.url, first))
    for _ in range(3):
        started_s = time.perf_counter()
        wait_for(server.url, submit(server.url, picture, **SLOW), {"succeeded"})
        found["whole"].append(time.perf_counter() - started_s)
    return found


def stuck(server: RunningServer, picture: bytes, rounds: int) -> list[float]:
    """Cancel jobs that never look at the flag: their process is killed after a grace of 15 s."""
    found = []
    for _ in range(rounds):
        job_id = submit(server.url, picture, **SLOW)
        wait_for(server.url, job_id, {"running"}, in_stage=True)
        found.append(cancel(server.url, job_id))
    return found


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--stuck-rounds", type=int, default=3)
    args = parser.parse_args()
    picture = photo_2mb()
    with running_server() as server:
        found = cooperative(server, picture, args.rounds)
    with running_server(MESHKILN_PIPELINE_RUNNER=STUCK) as server:
        hard = stuck(server, picture, args.stuck_rounds)
    whole = Figure.of("not canceled: submit to the end of the job", "s", found["whole"])
    figures = [whole] + [
        Figure.of(name, "s", values, compared_with=whole.median)
        for name, values in (
            ("cancel of a waiting job", found["waiting"]),
            ("cancel of a running job", found["running"]),
            ("cancel of a job that does not listen", hard),
        )
    ]
    settings = {"rounds": args.rounds, "stuck_rounds": args.stuck_rounds} | SLOW
    report("cancel_latency", figures, settings, args.json)


if __name__ == "__main__":
    main()
