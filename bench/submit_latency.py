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

import numpy as np
import requests
from PIL import Image

from bench.record import Figure, report
from bench.running_server import running_server


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


def submit(url: str, picture: bytes) -> tuple[float, str]:
    """Submit once; returns the seconds to the answer and the job id."""
    started_s = time.perf_counter()
    answer = requests.post(
        f"{url}/api/v1/jobs",
        files={"file": ("ball.jpg", picture)},
        data={"pipeline": "image_to_3d", "preset": "draft"},
        timeout=60,
    )
    elapsed_s = time.perf_counter() - started_s
    answer.raise_for_status()
    return elapsed_s, answer.json()["id"]


def wait_end(url: str, job_id: str) -> float:
    """Seconds until the job has ended."""
    started_s = time.perf_counter()
    while requests.get(f"{url}/api/v1/jobs/{job_id}", timeout=10).json()["finished_at"] is None:
        time.sleep(0.05)
    return time.perf_counter() - started_s


def cancel_all(url: str) -> None:
    """Cancel what is waiting, so that the next phase starts idle."""
    for status in ("queued", "running"):
        page = requests.get(f"{url}/api/v1/jobs?status={status}&limit=200", timeout=10).json()
        for job in page["items"]:
            requests.post(f"{url}/api/v1/jobs/{job['id']}/cancel", timeout=10)
    while requests.get(f"{url}/api/v1/jobs?status=canceling", timeout=10).json()["items"]:
        time.sleep(0.2)


def parallel(url: str, picture: bytes, clients: int, each: int) -> list[float]:
    """Submit from ``clients`` threads at once; returns every latency."""
    latencies: list[float] = []

    def work() -> None:
        latencies.extend(submit(url, picture)[0] for _ in range(each))

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return latencies


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--clients", type=int, default=20)
    args = parser.parse_args()
    picture = photo_2mb()
    with running_server() as server:
        idle, whole = [], []
        for _ in range(15):
            latency_s, job_id = submit(server.url, picture)
            idle.append(latency_s)
            whole.append(latency_s + wait_end(server.url, job_id))
        busy = parallel(server.url, picture, args.clients, each=5)
        cancel_all(server.url)
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
        {"picture_bytes": len(picture), "clients": args.clients},
        args.json,
    )


if __name__ == "__main__":
    main()
