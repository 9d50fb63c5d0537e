"""How long does a submit take, idle and under parallel clients?

Compared with a synchronous server, which answers when the model is made: the time from submit
to the end of the job, in the same run.
"""

from __future__ import annotations

import argparse
import io
import statistics
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import requests
from PIL import Image

from bench.record import Figure, report
from bench.running_server import RunningServer, running_server


def photo_2mb() -> bytes:
    """A JPEG of about 2 MB: a shaded ball on a plain ground with camera-like noise."""
    side = 1500
    y, x = np.mgrid[0:side, 0:side] / side - 0.5
    ball = np.clip(1 - (x**2 + y**2) / 0.12, 0, 1)
    noise = np.random.default_rng(0).normal(0, 18, (side, side, 3))
    pixels = 235 - ball[..., None] * np.array([40, 120, 190]) + noise
    buffer = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=96)
    return buffer.getvalue()


def submit(server: RunningServer, picture: bytes) -> tuple[float, str]:
    """Submit once; returns the seconds to the answer and the job id."""
    started_s = time.perf_counter()
    answer = requests.post(
        f"{server.url}/api/v1/jobs",
        files={"file": ("ball.jpg", picture)},
        data={"pipeline": "image_to_3d", "preset": "draft"},
        headers=server.headers,
        timeout=60,
    )
    elapsed_s = time.perf_counter() - started_s
    answer.raise_for_status()
    return elapsed_s, answer.json()["id"]


def look(server: RunningServer, path: str) -> Any:
    """Return a document of the API."""
    answer = requests.get(f"{server.url}/api/v1/{path}", headers=server.headers, timeout=10)
    answer.raise_for_status()
    return answer.json()


def wait_end(server: RunningServer, job_id: str) -> float:
    """Seconds until the job has ended."""
    started_s = time.perf_counter()
    while look(server, f"jobs/{job_id}")["finished_at"] is None:
        time.sleep(0.05)
    return time.perf_counter() - started_s


def cancel_all(server: RunningServer) -> None:
    """Cancel what is waiting, so that the next phase starts idle."""
    for status in ("queued", "running"):
        for job in look(server, f"jobs?status={status}&limit=200")["items"]:
            address = f"{server.url}/api/v1/jobs/{job['id']}/cancel"
            requests.post(address, headers=server.headers, timeout=10)
    while look(server, "jobs?status=canceling")["items"]:
        time.sleep(0.2)


def parallel(server: RunningServer, picture: bytes, clients: int, each: int) -> list[float]:
    """Submit from ``clients`` threads at once; returns every latency."""
    latencies: list[float] = []

    def work() -> None:
        latencies.extend(submit(server, picture)[0] for _ in range(each))

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(latencies) < clients * each:
        raise RuntimeError("not every submit was accepted")
    return latencies


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--key", action="store_true", help="have the server ask for keys")
    args = parser.parse_args()
    picture = photo_2mb()
    environment = {"MESHKILN_REQUIRE_KEY": "true"} if args.key else {}
    with running_server(**environment) as server:
        idle, whole = [], []
        for _ in range(15):
            latency_s, job_id = submit(server, picture)
            idle.append(latency_s)
            whole.append(latency_s + wait_end(server, job_id))
        busy = parallel(server, picture, args.clients, each=5)
        cancel_all(server)
    baseline = statistics.median(whole)
    report(
        "submit_latency",
        [
            Figure.of("synchronous: submit to the end of the job", "s", whole),
            Figure.of("submit, idle", "s", idle, compared_with=baseline),
            Figure.of(
                f"submit, {args.clients} parallel clients", "s", busy, compared_with=baseline
            ),
        ],
        {"picture_bytes": len(picture), "clients": args.clients, "keys": args.key},
        args.json,
    )


if __name__ == "__main__":
    main()
