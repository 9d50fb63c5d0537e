"""At which clock a card worked of late, which tells throttling from inefficiency."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import fmean

import redis

from backend.jobs.gpu_samples import COLUMNS, WINDOW_S, DeviceKind, find_streams, read_streams
from backend.units import Clock

# Below it a card is between two kernels so often that it lowers its clock by itself.
BUSY_UTIL_PCT = 50

_JOB, _UTIL, _CLOCK = (
    COLUMNS[DeviceKind.GPU].index(name) for name in ("job", "util_pct", "sm_clock_mhz")
)


@dataclass(frozen=True)
class BusyClock:
    """Mean clock of a card's busy readings since a moment."""

    device: str
    mhz: float
    since: datetime


def busy_clock(client: redis.Redis, clock: Clock, device: str) -> BusyClock | None:
    """Read the clock of a card while jobs kept it busy in the last ten minutes.

    Parameters
    ----------
    device : str
        Name of the card; several of one name count together.

    Returns
    -------
    BusyClock or None
        None without such a reading, or while Redis is away.
    """
    since = clock.now() - timedelta(seconds=WINDOW_S)
    begin = str(round(1000 * since.timestamp()))
    try:
        found = read_streams(client, dict.fromkeys(find_streams(client), begin))
    except redis.RedisError:
        return None
    rows = [
        row
        for history, _ in found
        if history.device.kind is DeviceKind.GPU and history.device.name == device
        for row in history.rows
    ]
    clocks = [
        row[_CLOCK]
        for row in rows
        if row[_JOB] is not None and row[_CLOCK] is not None and (row[_UTIL] or 0) >= BUSY_UTIL_PCT
    ]
    return BusyClock(device, fmean(clocks), since) if clocks else None
