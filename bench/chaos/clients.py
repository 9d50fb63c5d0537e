"""Clients over HTTP: each submits with an idempotency key until it is acknowledged."""

from __future__ import annotations

import io
import itertools
import queue
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import requests
from PIL import Image

from bench.chaos.log import ClientLog

JOBS = "/api/v1/jobs"
RETRY_S = 0.2
REQUEST_S = 15.0
ASK_AGAIN = (429, 500, 502, 503, 504)


@dataclass
class Orders:
    """How much there is to submit, shared by the clients.

    Parameters
    ----------
    total : int
        Jobs to submit; a batch counts as many.
    may_submit : callable
        Whether there is room for more; keeps the clients busy until the last kill.
    """

    total: int
    seed: int
    may_submit: Callable[[], bool]
    stop: threading.Event = field(default_factory=threading.Event)
    _left: int = 0
    _number: itertools.count[int] = field(default_factory=itertools.count)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._left = self.total

    def take(self, wanted: int) -> tuple[int, int]:
        """Take a number and at most ``wanted`` jobs; none when all are taken."""
        with self._lock:
            count = min(wanted, self._left)
            self._left -= count
            return next(self._number), count


class Client(threading.Thread):
    """One client: single jobs and batches, some sent twice, some canceled."""

    def __init__(
        self, url: str, orders: Orders, log: ClientLog, to_follow: queue.Queue[str | None]
    ) -> None:
        super().__init__(daemon=True)
        self._url = url
        self._orders = orders
        self._log = log
        self._to_follow = to_follow

    def run(self) -> None:
        """Submit until nothing is left."""
        while not self._orders.stop.is_set():
            if not self._orders.may_submit():
                self._orders.stop.wait(0.02)
                continue
            number = self._submit_next()
            if number is None:
                return

    def _submit_next(self) -> int | None:
        rng = random.Random(f"{self._orders.seed}-{threading.get_ident()}-{time.monotonic_ns()}")
        wanted = rng.randint(2, 6) if rng.random() < 0.2 else 1
        number, count = self._orders.take(wanted)
        if count == 0:
            return None
        ids = self._submit(f"key-{number}", number, count)
        if ids and rng.random() < 0.1:  # a client that never heard the answer asks again
            self._submit(f"key-{number}", number, count)
        for job_id in ids:
            self._to_follow.put(job_id)
            if rng.random() < 0.1:
                self._cancel(job_id)
        return number

    def _submit(self, key: str, number: int, count: int) -> list[str]:
        """Send until acknowledged; returns the ids of the jobs."""
        form = {"pipeline": "image_to_3d", "preset": "draft"}
        if count == 1:
            answer = self._send(JOBS, key, form | {"name": key}, [_file(key, number)])
            made = [(key, answer["id"])] if answer else []
        else:
            files = [_file(f"{key}-{item}", number * 7 + item) for item in range(count)]
            answer = self._send("/api/v1/batches", key, form, files)
            names = [f"{key}-{item}.png" for item in range(count)]
            items = answer["items"] if answer else []
            made = [(name, item.get("job_id")) for name, item in zip(names, items, strict=False)]
        for name, job_id in made:
            if job_id is None:
                self._log.unexpected(f"{name}: an item of a batch was not accepted")
                continue
            self._log.acknowledge(name, job_id)
        return [job_id for _, job_id in made if job_id]

    def _send(
        self, path: str, key: str, form: dict[str, str], files: list[tuple[str, bytes]]
    ) -> dict[str, Any] | None:
        while not self._orders.stop.is_set():
            parts = [("file", (name, data, "image/png")) for name, data in files]
            try:
                answer = requests.post(
                    self._url + path, data=form, files=parts, timeout=REQUEST_S,
                    headers={"Idempotency-Key": key},
                )  # fmt: skip
            except requests.RequestException:
                answer = None
            if answer is not None and answer.ok:
                document: dict[str, Any] = answer.json()
                return document
            if answer is not None and answer.status_code not in ASK_AGAIN:
                self._log.unexpected(f"{key}: {answer.status_code} {answer.text[:200]}")
                return None
            self._log.resent += 1
            self._orders.stop.wait(RETRY_S)
        return None

    def _cancel(self, job_id: str) -> None:
        self._log.canceled.add(job_id)  # the answer may be lost after the job was canceled
        while not self._orders.stop.is_set():
            try:
                answer = requests.post(f"{self._url}{JOBS}/{job_id}/cancel", timeout=REQUEST_S)
            except requests.RequestException:
                answer = None
            if answer is not None and answer.status_code == 202:
                self._log.saw(answer.json())
            if answer is not None and answer.status_code in (202, 409):
                return
            self._orders.stop.wait(RETRY_S)


def _file(name: str, number: int) -> tuple[str, bytes]:
    """Return a small picture whose colours tell its number."""
    image = Image.new("RGB", (64, 64), (number % 256, number // 256 % 256, 90))
    image.paste((255, 255, 255), (16, 16, 48, 48))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return f"{name}.png", buffer.getvalue()
