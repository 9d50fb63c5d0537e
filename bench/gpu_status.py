"""How fast does /api/gpu/status answer, at rest and while a model loads?

Compared with a manager that loads under its one lock, as the servers it replaces do.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable
from pathlib import Path

import requests

from bench.record import Figure, report
from bench.running_server import RunningServer, running_server

CATALOGUE = "tests.residency.tiny_catalogue:register"
SLOW_MODEL = "tiny_slow"  # takes two seconds to load


class OneLock:
    """A model manager whose lock is held during a load."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def load(self, seconds: float) -> None:
        """Load for so long."""
        with self._lock:
            time.sleep(seconds)

    def status(self) -> str:
        """Say where the model is."""
        with self._lock:
            return "loaded"


def ask_ms(ask: Callable[[], object]) -> float:
    """Time one question in milliseconds."""
    started_s = time.perf_counter()
    ask()
    return 1000 * (time.perf_counter() - started_s)


def at_rest(url: str, asks: int) -> list[float]:
    """Ask again and again while nothing happens."""
    session = requests.Session()
    return [ask_ms(lambda: session.get(f"{url}/api/gpu/status")) for _ in range(asks)]


def during_loads(server: RunningServer, loads: int) -> list[float]:
    """Ask again and again while the slow model loads."""
    session, times = requests.Session(), []
    for _ in range(loads):
        session.post(f"{server.url}/api/gpu/preload", json={"model": SLOW_MODEL})
        _wait_for(session, server.url, "loading")
        while True:
            times.append(ask_ms(lambda: session.get(f"{server.url}/api/gpu/status")))
            if _state(session, server.url) != "loading":
                break
        _wait_for(session, server.url, "resident")
        session.post(f"{server.url}/api/gpu/release", json={"model": SLOW_MODEL})
        _wait_for(session, server.url, "unloaded")
    return times


def under_one_lock(loads: int) -> list[float]:
    """Ask once in the middle of each load of the same length."""
    manager, times = OneLock(), []
    for _ in range(loads):
        loading = threading.Thread(target=manager.load, args=(2.0,))
        loading.start()
        time.sleep(0.05)
        times.append(ask_ms(manager.status))
        loading.join()
    return times


def _state(session: requests.Session, url: str) -> str:
    models = session.get(f"{url}/api/gpu/status").json()["models"]
    return next((str(m["state"]) for m in models if m["name"] == SLOW_MODEL), "unknown")


def _wait_for(session: requests.Session, url: str, state: str) -> None:
    while _state(session, url) != state:
        time.sleep(0.01)


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--asks", type=int, default=300)
    parser.add_argument("--loads", type=int, default=5)
    args = parser.parse_args()
    with running_server(MESHKILN_MODEL_CATALOGUE=CATALOGUE) as server:
        rest = at_rest(server.url, args.asks)
        loading = during_loads(server, args.loads)
    locked = Figure.of("one lock: status during a load", "ms", under_one_lock(args.loads))
    report(
        "gpu_status",
        [
            Figure.of("status at rest", "ms", rest),
            locked,
            Figure.of("status during a load", "ms", loading, compared_with=locked.median),
        ],
        {"asks": args.asks, "loads": args.loads},
        args.json,
    )


if __name__ == "__main__":
    main()
