"""Memory, open files and threads of each process of the server, by process life."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import psutil

from bench.chaos.killer import processes

MB = 1024 * 1024
LOOKS, LOOK_EVERY_S = 24, 0.5
_KINDS = (
    ("redis-server", "Redis"),
    ("gunicorn", "web"),
    ("gpu@", "GPU worker parent"),
    ("cpu@", "CPU worker parent"),
)


@dataclass(frozen=True)
class Footprint:
    """One process at one moment."""

    kind: str
    rss_mb: float
    files: int
    threads: int


def footprints(supervisor: int) -> dict[int, Footprint]:
    """Measure every process of a server, by process number."""
    parent = psutil.Process(supervisor)
    found = {supervisor: _measure(parent, "supervisor")}
    for process, line in processes(parent):
        kind = next((name for part, name in _KINDS if part in line), None)
        if kind is None and "spawn_main" in line:
            kind = "worker child"
        if kind is None:
            continue
        try:
            if kind == "web" and not process.children():
                kind = "web process"
            found[process.pid] = _measure(process, kind)
        except psutil.NoSuchProcess:
            continue
    return {pid: one for pid, one in found.items() if one is not None}


def lasting_footprints(supervisor: int) -> dict[int, Footprint]:
    """Measure every process for a while, and keep the least of each figure.

    What was just freed or closed counts until it has been given back, so one look says little.
    """
    found = footprints(supervisor)
    for _ in range(LOOKS):
        time.sleep(LOOK_EVERY_S)
        for pid, one in footprints(supervisor).items():
            before = found.get(pid, one)
            found[pid] = _least(one, before)
    return found


def _least(one: Footprint, other: Footprint) -> Footprint:
    return replace(
        one,
        rss_mb=min(one.rss_mb, other.rss_mb),
        files=min(one.files, other.files),
        threads=min(one.threads, other.threads),
    )


def _measure(process: psutil.Process, kind: str) -> Footprint:
    with process.oneshot():
        return Footprint(
            kind, process.memory_info().rss / MB, process.num_fds(), process.num_threads()
        )
