"""How old is an event when it reaches the client, with 200 sockets open?

Compared with clients that poll the job once a second, in the same run on the same job.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import requests
from simple_websocket import Client, ConnectionClosed

from backend.jobs.states import EventType
from bench.record import Figure, report
from bench.running_server import RunningServer, running_server
from bench.submit_latency import photo_2mb

POLL_S = 1.0


class Listener(threading.Thread):
    """One socket that notes the age of every live event."""

    def __init__(self, url: str, job_id: str) -> None:
        super().__init__(daemon=True)
        self.ages_s: list[float] = []
        self._url = f"{url.replace('http', 'ws')}/ws/jobs/{job_id}"
        self.connected = threading.Event()

    def run(self) -> None:
        """Read until the server closes."""
        socket = Client(self._url)
        self.connected.set()
        try:
            while (text := socket.receive(timeout=60)) is not None:
                event = json.loads(text)
                if event["type"] != EventType.SNAPSHOT:
                    self.ages_s.append(_age_s(event["ts"]))
        except ConnectionClosed:
            return


class Poller(threading.Thread):
    """One client that polls, and notes how late it sees each change of stage."""

    def __init__(self, url: str, job_id: str) -> None:
        super().__init__(daemon=True)
        self._job = f"{url}/api/v1/jobs/{job_id}"
        self.seen: dict[str, datetime] = {}

    def run(self) -> None:
        """Poll until the job has ended."""
        while True:
            job = requests.get(self._job, timeout=10).json()
            if job["stage"]:
                self.seen.setdefault(job["stage"], datetime.now(UTC))  # noqa: TID251  client time
            if job["finished_at"]:
                return
            time.sleep(POLL_S)


def _age_s(ts: str) -> float:
    now = datetime.now(UTC)  # noqa: TID251  the age at the client is wall-clock time
    return (now - datetime.fromisoformat(ts.replace("Z", "+00:00"))).total_seconds()


def measure(server: RunningServer, sockets: int, jobs: int) -> tuple[list[float], list[float]]:
    """Ages at ``sockets`` sockets over ``jobs`` jobs, and delays seen by pollers."""
    ages, delays = [], []
    picture = photo_2mb()
    for _ in range(jobs):
        job_id = _submit_high(server.url, picture)
        listeners = [Listener(server.url, job_id) for _ in range(sockets)]
        pollers = [Poller(server.url, job_id) for _ in range(3)]
        for thread in [*listeners, *pollers]:
            thread.start()
        for thread in [*pollers, *listeners]:
            thread.join(timeout=120)
        ages += [age for listener in listeners for age in listener.ages_s]
        delays += _poll_delays(server.url, job_id, pollers)
    return ages, delays


def _submit_high(url: str, picture: bytes) -> str:
    form = {"pipeline": "image_to_3d", "preset": "high"}
    answer = requests.post(
        f"{url}/api/v1/jobs", files={"file": ("ball.jpg", picture)}, data=form, timeout=60
    )
    answer.raise_for_status()
    job_id: str = answer.json()["id"]
    return job_id


def _poll_delays(url: str, job_id: str, pollers: list[Poller]) -> list[float]:
    """Delay between the start of a stage and the moment each poller saw it."""
    job = requests.get(f"{url}/api/v1/jobs/{job_id}", timeout=10).json()
    start = datetime.fromisoformat(job["started_at"].replace("Z", "+00:00")).timestamp()
    delays = []
    for stage in job["stages"]:
        seen = [p.seen[stage["name"]] for p in pollers if stage["name"] in p.seen]
        delays += [max(0.0, moment.timestamp() - start) for moment in seen]
        start += stage["elapsed_s"] or 0.0
    return delays


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--sockets", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=3)
    args = parser.parse_args()
    with running_server(MESHKILN_MAX_SOCKETS_PER_IP="512") as server:
        ages, delays = measure(server, args.sockets, args.jobs)
    polling = Figure.of("polling every second: delay of a stage change", "s", delays)
    report(
        "event_latency",
        [
            polling,
            Figure.of(
                f"event age, {args.sockets} sockets", "s", ages, compared_with=polling.median
            ),
        ],
        {"sockets": args.sockets, "jobs": args.jobs, "poll_s": POLL_S},
        args.json,
    )


if __name__ == "__main__":
    main()
