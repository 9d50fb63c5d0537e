"""What the devices did while runs ran, as counter tracks of a trace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from backend.jobs.gpu_samples import LONGEST_WINDOW_S
from backend.jobs.service import JobService
from backend.profiling.exports.perfetto import CounterTrack, TracedRun
from backend.web.gpu_feed import read_history

# The reading before the first run and the one after the last belong to the picture.
MARGIN = timedelta(seconds=10)
TRACKS = {
    "vram_used_mb": ("memory used", "MB"),
    "vram_ours_mb": ("memory of this worker", "MB"),
    "util_pct": ("utilisation", "%"),
    "power_w": ("power", "W"),
    "temp_c": ("temperature", "°C"),
    "sm_clock_mhz": ("clock", "MHz"),
    "cpu_pct": ("processor", "%"),
    "ram_used_mb": ("host memory used", "MB"),
    "worker_rss_mb": ("host memory of the worker", "MB"),
}


def sampled_tracks(service: JobService, runs: Sequence[TracedRun]) -> list[CounterTrack]:
    """Read what was sampled around the runs; readings are kept for about an hour.

    Returns
    -------
    list of CounterTrack
        Those with a reading; none without runs, without readings, or while Redis is away.
    """
    if not runs:
        return []
    begin = min(run.profile.started_at for run in runs) - MARGIN
    end = max(
        run.profile.started_at + timedelta(seconds=run.profile.total_duration) for run in runs
    )
    devices = read_history(service.looks.client, service.clock, LONGEST_WINDOW_S)
    return [track for device in devices for track in _tracks(device, begin, end + MARGIN)]


def _tracks(device: Mapping[str, Any], begin: datetime, end: datetime) -> Iterator[CounterTrack]:
    rows = [row for row in device["rows"] if begin <= datetime.fromtimestamp(row[0], UTC) <= end]
    moments = [datetime.fromtimestamp(row[0], UTC) for row in rows]
    for place, column in enumerate(device["columns"]):
        name, unit = TRACKS.get(column, (None, ""))
        values = [row[place] for row in rows]
        if name and any(value is not None for value in values):
            points = list(zip(moments, values, strict=True))
            yield CounterTrack(f"{device['name']}: {name}", unit, points)
