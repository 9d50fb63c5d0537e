"""What the timelines and the map of the models show: figures for the templates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backend.catalog import Queue
from backend.jobs.gpu_samples import WINDOW_S, DeviceKind
from backend.jobs.residency_moves import read_moves
from backend.jobs.service import JobService
from backend.web.charts.line import polylines
from backend.web.charts.residency_map import ResidencyMap, residency_map
from backend.web.charts.scale import Scale
from backend.web.gpu_feed import read_history

SLOT_S = 5.0
GAP_S = 15.0
HEADROOM = 1.04


@dataclass(frozen=True)
class Metric:
    """A line of the still picture.

    Parameters
    ----------
    column : str
        Of the readings.
    top : float or str
        Upper end of the chart, or the column that holds it.
    """

    title: str
    unit: str
    column: str
    top: float | str | None = None


@dataclass(frozen=True)
class StillLine:
    """A metric of one device in the last ten minutes; None where nothing was read."""

    title: str
    unit: str
    lines: list[str]
    last: float | None
    lowest: float | None
    mean: float | None
    highest: float | None


METRICS = {
    DeviceKind.GPU.value: (
        Metric("GPU memory", "MB", "vram_used_mb", "vram_total_mb"),
        Metric("Utilisation", "%", "util_pct", 100.0),
        Metric("Power", "W", "power_w", "power_limit_w"),
        Metric("Temperature", "°C", "temp_c"),
        Metric("Clock", "MHz", "sm_clock_mhz", "sm_clock_max_mhz"),
    ),
    DeviceKind.HOST.value: (
        Metric("Host memory", "MB", "ram_used_mb", "ram_total_mb"),
        Metric("Host processor", "%", "cpu_pct", 100.0),
    ),
}


def timelines_view(service: JobService) -> list[dict[str, Any]]:
    """Write each device's last ten minutes, for browsers without JavaScript.

    Returns
    -------
    list of dict
        ``name``, ``kind`` and ``lines`` (of ``StillLine``); devices that were not read are absent.
    """
    devices = read_history(service.looks.client, service.clock, WINDOW_S)
    now_s = service.clock.now().timestamp()
    window = Scale(now_s - WINDOW_S, now_s)
    return [
        {"name": device["name"], "kind": device["kind"], "lines": list(_lines(device, window))}
        for device in devices
        if device["rows"]
    ]


def residency_view(service: JobService) -> ResidencyMap:
    """Draw where the models were; without rows when no worker manages any."""
    beats = [beat for beat in service.worker_status() if beat.get("queue") == Queue.GPU]
    titles = {
        model["name"]: str(model.get("title") or model["name"])
        for beat in beats
        for model in beat.get("models") or []
    }
    alive = [str(beat["epoch"]) for beat in beats if beat.get("epoch")]
    return residency_map(read_moves(service.looks.client), titles, alive, service.clock.now())


def _lines(device: Mapping[str, Any], window: Scale) -> Iterator[StillLine]:
    columns: list[str] = device["columns"]
    by_name = {name: [row[at] for row in device["rows"]] for at, name in enumerate(columns)}
    for metric in METRICS[device["kind"]]:
        yield _line(metric, by_name, window)


def _line(metric: Metric, by_name: Mapping[str, list[Any]], window: Scale) -> StillLine:
    values = by_name[metric.column]
    known = [value for value in values if value is not None]
    tops = by_name[metric.top] if isinstance(metric.top, str) else [metric.top]
    top = max((value for value in [*tops, *known] if value is not None), default=1.0)
    times_s, means = _slots(by_name["at_s"], values)
    return StillLine(
        metric.title,
        metric.unit,
        polylines(times_s, means, window, Scale(0.0, HEADROOM * float(top)), GAP_S),
        values[-1],
        min(known, default=None),
        sum(known) / len(known) if known else None,
        max(known, default=None),
    )


def _slots(
    times_s: Sequence[float], values: Sequence[float | None]
) -> tuple[list[float], list[float | None]]:
    """Thin out to the mean of every five seconds, so that the page stays small."""
    slots: dict[int, list[float]] = {}
    for at_s, value in zip(times_s, values, strict=True):
        slot = slots.setdefault(int(at_s // SLOT_S), [])
        if value is not None:
            slot.append(value)
    means = [sum(slot) / len(slot) if slot else None for slot in slots.values()]
    return [at * SLOT_S for at in slots], means
