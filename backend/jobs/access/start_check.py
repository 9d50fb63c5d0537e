"""Whether a server may start: never open to others without a key that somebody has."""

from __future__ import annotations

import shlex

from backend.errors import StartFailed
from backend.jobs.access.in_force import is_loopback, keys_in_force
from backend.jobs.access.key_book import KeyBook
from backend.jobs.store import JobStore
from backend.settings import Settings
from backend.units import Clock, SystemClock


def check_start(settings: Settings, clock: Clock | None = None) -> None:
    """Raise StartFailed when keys are in force and none would let anybody in."""
    if not keys_in_force(settings):
        return
    clock = clock or SystemClock()
    store = JobStore(settings.sql_url, clock)
    try:
        has_live = KeyBook(store.engine, clock).has_live()
    finally:
        store.close()
    if has_live:
        return
    why = (
        "MESHKILN_REQUIRE_KEY is set"
        if is_loopback(settings.host)
        else f"{settings.host} is reachable from other machines"
    )
    raise StartFailed(
        f"{why}, and this server has no key yet.",
        advice=f"Make one: {_command(settings)}",
    )


def _command(settings: Settings) -> str:
    words = ["python", "-m", "backend", "keys", "create", "NAME", "--admin"]
    if settings.provenance.get("data_dir") == "command line":
        words += ["--data-dir", str(settings.data_dir)]
    return shlex.join(words)
