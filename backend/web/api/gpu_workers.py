"""One view of several GPU workers: a card each, or several children on a machine without one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Beat = Mapping[str, Any]

NEAREST_FIRST = (
    "resident", "draining", "restoring", "offloading", "host", "loading", "releasing", "failed",
    "unloaded",
)  # fmt: skip
SHOWN_TRANSITIONS = 20
_SUMMED = ("vram_mb", "ram_mb", "leases", "loads", "restores", "evictions")


def in_order(beats: Sequence[Beat]) -> list[Beat]:
    """Sort heartbeats by card, then by machine and process, so that the first stays the first."""

    def place(beat: Beat) -> tuple[int, str, int]:
        devices = (beat.get("device") or {}).get("devices") or [{}]
        index = devices[0].get("index")
        return (10**6 if index is None else index, str(beat.get("host")), beat.get("pid") or 0)

    return sorted(beats, key=place)


def devices_of(beats: Sequence[Beat]) -> list[dict[str, Any]]:
    """List the cards of all workers, each once."""
    found: dict[Any, dict[str, Any]] = {}
    for beat in beats:
        for device in (beat.get("device") or {}).get("devices") or []:
            found.setdefault(device.get("uuid") or (beat.get("host"), device.get("index")), device)
    return list(found.values())


def models_of(beats: Sequence[Beat]) -> list[dict[str, Any]]:
    """List the models once each: bytes and leases summed, the state nearest to a card."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for beat in beats:
        for model in beat.get("models") or []:
            rows.setdefault(model["name"], []).append(model)
    return [_one_model(same) for same in rows.values()]


def residency_of(beats: Sequence[Beat]) -> dict[str, Any] | None:
    """Take rules and budget from the first worker, transitions and switches from all."""
    told = [beat["residency"] for beat in beats if beat.get("residency")]
    if not told:
        return None
    transitions = [one for residency in told for one in residency.get("transitions") or []]
    transitions.sort(key=lambda one: one.get("at") or "", reverse=True)
    switches = sum(residency.get("switches") or 0 for residency in told)
    return {**told[0], "transitions": transitions[:SHOWN_TRANSITIONS], "switches": switches}


def busiest(beats: Sequence[Beat]) -> Beat | None:
    """Return a worker that works, else the first."""
    working = (beat for beat in beats if beat.get("state") == "busy")
    return next(working, beats[0] if beats else None)


def _one_model(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    order = {state: rank for rank, state in enumerate(NEAREST_FIRST)}
    nearest = min(rows, key=lambda row: order.get(str(row.get("state")), len(order)))
    sums = {key: sum(row.get(key) or 0 for row in rows) for key in _SUMMED if key in nearest}
    return nearest | sums | {"error": next((r["error"] for r in rows if r.get("error")), None)}
