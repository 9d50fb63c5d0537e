"""Sends kill -9 to a process of the server at random moments, as often to each kind."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from enum import StrEnum

import psutil

PAUSE_S = (0.3, 2.0)
VICTIM_S = 60.0
CPU_WORKER_SHARE = 0.15


class Victim(StrEnum):
    """What is killed."""

    WEB = "web process"
    WORKER = "worker parent"
    CHILD = "worker child"
    REDIS = "Redis"


class Killer:
    """Kills in rounds: one of each kind, in any order, then the server must have got on.

    Parameters
    ----------
    supervisor : int
        Process number of ``serve``; it is never killed.
    rng : random.Random
        Draws victims and moments.
    """

    def __init__(self, supervisor: int, rng: random.Random) -> None:
        self._supervisor = psutil.Process(supervisor)
        self._rng = rng
        self.kills: Counter[str] = Counter()

    def run(self, kills: int, wait_for_round: Callable[[int], None]) -> None:
        """Kill ``kills`` times; after each round ``wait_for_round(kills so far)``."""
        while self.kills.total() < kills:
            kinds = list(Victim)
            self._rng.shuffle(kinds)
            for kind in kinds[: kills - self.kills.total()]:
                time.sleep(self._rng.uniform(*PAUSE_S))
                self._kill(kind)
            wait_for_round(self.kills.total())

    def _kill(self, kind: Victim) -> None:
        deadline_s = time.monotonic() + VICTIM_S
        while time.monotonic() < deadline_s:
            found = self._find(kind)
            if found:
                try:
                    self._rng.choice(found).kill()
                except psutil.NoSuchProcess:
                    continue
                self.kills[kind.value] += 1
                return
            time.sleep(0.05)
        raise RuntimeError(f"the supervisor has not restarted the {kind.value}")

    def _find(self, kind: Victim) -> list[psutil.Process]:
        queue = "cpu@" if self._rng.random() < CPU_WORKER_SHARE else "gpu@"
        return [
            process
            for process, line in processes(self._supervisor)
            if _is(kind, queue, line, process)
        ]


def _is(kind: Victim, queue: str, line: str, process: psutil.Process) -> bool:
    match kind:
        case Victim.REDIS:
            return "redis-server" in line
        case Victim.WEB:  # gunicorn's arbiter, or the process that answers
            return "gunicorn" in line
        case Victim.WORKER:
            return "celery" in line and queue in line
        case Victim.CHILD:
            return "spawn_main" in line and queue in _parent_line(process)


def processes(supervisor: psutil.Process) -> list[tuple[psutil.Process, str]]:
    """Return every living process of the server with its command line."""
    found = []
    for process in supervisor.children(recursive=True):
        try:
            line = " ".join(process.cmdline())
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append((process, line))
        except psutil.NoSuchProcess:
            continue
    return found


def _parent_line(process: psutil.Process) -> str:
    try:
        parent = process.parent()
        return " ".join(parent.cmdline()) if parent else ""
    except psutil.NoSuchProcess:
        return ""
