"""How fast are pictures taken: one batch of many, or one submit after the other?

Both in the same run, over a connection that stays open, while no worker runs, so that only the
taking is timed. Meanwhile a probe asks for /healthz, which must be answered all the time.
"""

from __future__ import annotations

import argparse
import io
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import requests
from PIL import Image

from bench.record import Figure, report
from bench.running_server import RunningServer, running_server

VARIANTS = 8
PROBE_PAUSE_S = 0.05
SHARED = {"pipeline": "image_to_3d", "preset": "draft"}
KINDS = {
    "PNG": {"side": 460, "noise": 4, "options": {}},
    "JPEG": {"side": 1150, "noise": 9, "options": {"quality": 90}},
}


@dataclass
class Phase:
    """What one way of sending took.

    Parameters
    ----------
    rates : list of float
        Pictures per second, one for each round.
    health_ms : list of float
        Latencies of /healthz meanwhile, in milliseconds.
    """

    rates: list[float] = field(default_factory=list)
    health_ms: list[float] = field(default_factory=list)


def pictures(kind: str) -> list[bytes]:
    """Several shaded balls with noise, of about 343 KB each."""
    spec = KINDS[kind]
    return [_ball(kind, number, **spec) for number in range(VARIANTS)]  # type: ignore[arg-type]


def _ball(kind: str, seed: int, side: int, noise: float, options: dict[str, int]) -> bytes:
    y, x = np.mgrid[0:side, 0:side] / side - 0.5
    ball = np.clip(1 - (x**2 + y**2) / 0.12, 0, 1)
    grain = np.random.default_rng(seed).normal(0, noise, (side, side, 3))
    pixels = 215 - ball[..., None] * np.array([40, 120, 170]) + grain
    buffer = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(buffer, kind, **options)
    return buffer.getvalue()


def batch_request(url: str, sent: Sequence[bytes]) -> requests.PreparedRequest:
    """One request with all pictures, its body written already."""
    files = [("file", (f"ball-{number}", data)) for number, data in enumerate(sent)]
    return requests.Request("POST", f"{url}/api/v1/batches", data=SHARED, files=files).prepare()


def single_requests(url: str, sent: Sequence[bytes]) -> list[requests.PreparedRequest]:
    """One request for each picture, their bodies written already."""
    return [
        requests.Request(
            "POST", f"{url}/api/v1/jobs", data=SHARED, files={"file": (f"ball-{number}", data)}
        ).prepare()
        for number, data in enumerate(sent)
    ]


def timed(url: str, wanted: Sequence[requests.PreparedRequest], count: int, phase: Phase) -> None:
    """Send requests one after the other and note how many pictures a second that made."""
    with requests.Session() as session, probed(url, phase.health_ms):
        started_s = time.perf_counter()
        for request in wanted:
            session.send(request, timeout=600).raise_for_status()
        phase.rates.append(count / (time.perf_counter() - started_s))


@contextmanager
def probed(url: str, latencies_ms: list[float]) -> Iterator[None]:
    """Ask for /healthz again and again within the block."""
    stop = threading.Event()

    def ask() -> None:
        with requests.Session() as session:
            while not stop.wait(PROBE_PAUSE_S):
                started_s = time.perf_counter()
                session.get(f"{url}/healthz", timeout=60).raise_for_status()
                latencies_ms.append((time.perf_counter() - started_s) * 1e3)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def hold_workers(server: RunningServer) -> list[psutil.Process]:
    """Stop the workers of a server where they stand; returns them."""
    children = psutil.Process(server.process.pid).children(recursive=True)
    workers = [child for child in children if "worker" in " ".join(child.cmdline())]
    for worker in workers:
        worker.suspend()
    return workers


def empty_queue(url: str) -> None:
    """Cancel all that waits."""
    while True:
        page = requests.get(f"{url}/api/v1/jobs?status=queued&limit=200", timeout=30).json()
        if not page["items"]:
            return
        for job in page["items"]:
            requests.post(f"{url}/api/v1/jobs/{job['id']}/cancel", timeout=30)


def measure(url: str, kind: str, count: int, rounds: int) -> tuple[Phase, Phase]:
    """Send the same pictures both ways, in turns; returns singles and batches."""
    made = pictures(kind)
    sent = [made[number % VARIANTS] for number in range(count)]
    singles, batches = Phase(), Phase()
    for _ in range(rounds):
        timed(url, single_requests(url, sent), count, singles)
        timed(url, [batch_request(url, sent)], count, batches)
        empty_queue(url)
    return singles, batches


def figures(kind: str, singles: Phase, batches: Phase) -> list[Figure]:
    """Rates, and how the rest of the server answered meanwhile."""
    one_by_one = Figure.of(f"{kind}: one submit after the other", "pictures/s", singles.rates)
    compared_with = one_by_one.median
    return [
        one_by_one,
        Figure.of(f"{kind}: one batch", "pictures/s", batches.rates, compared_with),
        Figure.of(f"{kind}: /healthz during submits", "ms", singles.health_ms),
        Figure.of(f"{kind}: /healthz during the batch", "ms", batches.health_ms),
    ]


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    found: list[Figure] = []
    with running_server(MESHKILN_MAX_QUEUED_JOBS=str(2 * args.pictures)) as server:
        held = hold_workers(server)
        try:
            for kind in KINDS:
                found += figures(kind, *measure(server.url, kind, args.pictures, args.rounds))
        finally:
            for worker in held:
                worker.resume()
    sizes = {f"{kind}_bytes": len(pictures(kind)[0]) for kind in KINDS}
    settings = {"pictures": args.pictures, "rounds": args.rounds} | sizes
    report("batch_submit", found, settings, args.json)


if __name__ == "__main__":
    main()
