"""Readings of a device over time: one capped Redis stream for each card, or for the host.

A worker's child writes them (``sample_writer``), the web process reads them. Unknown is null.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

import redis

PREFIX = "mk:samples:"
STREAM_LENGTH = 7200  # an hour of readings every second, and as many stages that began
KEPT_S = 2 * 3600
WINDOW_S, LONGEST_WINDOW_S = 600.0, 3600.0


class DeviceKind(StrEnum):
    """What a reading is of."""

    GPU = "gpu"
    HOST = "host"


COLUMNS = {
    DeviceKind.GPU: (
        "at_s", "vram_used_mb", "vram_ours_mb", "vram_others_mb", "vram_total_mb", "util_pct",
        "power_w", "power_limit_w", "temp_c", "sm_clock_mhz", "sm_clock_max_mhz", "throttle",
        "job", "stage",
    ),
    DeviceKind.HOST: (
        "at_s", "cpu_pct", "ram_used_mb", "ram_total_mb", "worker_rss_mb", "job", "stage",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class SampledDevice:
    """A card, or a machine without one.

    Parameters
    ----------
    key : str
        UUID or index of the card, ``host:<name>`` of a machine.
    """

    key: str
    name: str
    kind: DeviceKind

    @property
    def stream(self) -> str:
        """Key of its stream."""
        return f"{PREFIX}{self.key}"


@dataclass(frozen=True)
class Moment:
    """When a reading was taken, and what the worker did then.

    Parameters
    ----------
    at_s : float
        Unix time.
    worker_rss_mb : float
        Host memory of the process that took it.
    job, stage : str or None
        None while it is idle.
    """

    at_s: float
    worker_rss_mb: float
    job: str | None
    stage: str | None


@dataclass(frozen=True)
class DeviceHistory:
    """What one device did, oldest first.

    Parameters
    ----------
    rows : list of list
        One value for each of the columns of its kind.
    marks : list of list
        ``[at_s, job, stage]`` where a stage begins; the stage is None where the job ends.
    """

    device: SampledDevice
    rows: list[list[Any]]
    marks: list[list[Any]]

    def to_document(self) -> dict[str, Any]:
        """Write it as the interface tells it."""
        return {
            "key": self.device.key,
            "name": self.device.name,
            "kind": self.device.kind.value,
            "columns": list(COLUMNS[self.device.kind]),
            "rows": self.rows,
            "marks": self.marks,
        }


def rows_of(status: Mapping[str, Any], moment: Moment) -> list[tuple[SampledDevice, list[Any]]]:
    """Write one reading as rows: one for each card, or one for the host where there is none.

    Parameters
    ----------
    status : mapping
        As ``gpu.telemetry.device_status`` tells it.
    moment : Moment
        When it was read.
    """
    devices = status.get("devices") or []
    if devices:
        return [(_card(device), _card_row(device, moment)) for device in devices]
    host = status.get("host") or {}
    name = str(host.get("name") or "host")
    device = SampledDevice(f"host:{name}", name, DeviceKind.HOST)
    row = [moment.at_s, host.get("cpu_pct"), host.get("ram_used_mb"), host.get("ram_total_mb"),
           moment.worker_rss_mb, moment.job, moment.stage]  # fmt: skip
    return [(device, row)]


def _card(device: Mapping[str, Any]) -> SampledDevice:
    index = device.get("index")
    key = str(device.get("uuid") or index)
    return SampledDevice(key, str(device.get("name") or f"GPU {index}"), DeviceKind.GPU)


def _card_row(device: Mapping[str, Any], moment: Moment) -> list[Any]:
    ours = (device.get("vram_used_by_us_mb") or {}).get("reserved")
    return [
        moment.at_s, device.get("vram_used_mb"), ours, device.get("vram_used_by_others_mb"),
        device.get("vram_total_mb"), device.get("gpu_util_pct"), device.get("power_w"),
        device.get("power_limit_w"), device.get("temp_c"), device.get("sm_clock_mhz"),
        device.get("sm_clock_max_mhz"), (device.get("throttle") or {}).get("active"),
        moment.job, moment.stage,
    ]  # fmt: skip


def row_fields(device: SampledDevice, row: Sequence[Any]) -> dict[str, str]:
    """Write a reading as an entry of the stream."""
    return {"row": _about(device, row)}


def mark_fields(device: SampledDevice, at_s: float, job: str, stage: str | None) -> dict[str, str]:
    """Write the begin of a stage as an entry of the stream; None is the end of the job."""
    return {"mark": _about(device, [at_s, job, stage])}


def find_streams(client: redis.Redis) -> list[str]:
    """List the streams there are; raises RedisError."""
    return sorted(client.scan_iter(f"{PREFIX}*", count=500, _type="stream"))


def read_streams(client: redis.Redis, begins: Mapping[str, str]) -> list[tuple[DeviceHistory, str]]:
    """Read what several streams hold, each from an id on; raises RedisError.

    Parameters
    ----------
    begins : mapping
        Stream to the first id that is wanted; ``(id`` is what comes after it.

    Returns
    -------
    list
        Histories that are not empty, each with the id of its newest entry.
    """
    with client.pipeline(transaction=False) as pipe:
        for stream, begin in begins.items():
            pipe.xrange(stream, min=begin, count=STREAM_LENGTH)
        answers = cast("list[list[tuple[str, dict[str, str]]]]", pipe.execute())
    found = zip(begins, answers, strict=True)
    return [(_history(stream, entries), entries[-1][0]) for stream, entries in found if entries]


def _history(stream: str, entries: Sequence[tuple[str, dict[str, str]]]) -> DeviceHistory:
    rows: list[list[Any]] = []
    marks: list[list[Any]] = []
    for _, fields in entries:
        ((entry_kind, text),) = fields.items()
        name, kind, *values = json.loads(text)
        (rows if entry_kind == "row" else marks).append(values)
    device = SampledDevice(stream.removeprefix(PREFIX), name, DeviceKind(kind))
    return DeviceHistory(device, rows, marks)


def _about(device: SampledDevice, values: Sequence[Any]) -> str:
    """Write values behind what the device is: one text, for a reader unpacks thousands."""
    return json.dumps([device.name, device.kind.value, *values], separators=(",", ":"))
