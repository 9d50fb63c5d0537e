"""What readings and heartbeats tell of the card: clocks, link, neighbours and peaks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from backend.gpu.peaks import peak_of
from backend.jobs.gpu_samples import COLUMNS, DeviceHistory, DeviceKind
from backend.profiling.advice.evidence import DevicePeaks, GpuSamples

Device = Mapping[str, Any]

_PLACE = {name: place for place, name in enumerate(COLUMNS[DeviceKind.GPU])}


def gpu_samples(histories: Sequence[DeviceHistory], devices: Sequence[Device]) -> GpuSamples | None:
    """Sum up the readings of the cards while jobs ran.

    Parameters
    ----------
    histories : sequence of DeviceHistory
        What was read lately.
    devices : sequence of mapping
        The cards as the heartbeats tell them; of them what is no part of the readings.

    Returns
    -------
    GpuSamples or None
        Of the card that was busiest; None without a reading of a card at work.
    """
    cards = [history for history in histories if history.device.kind is DeviceKind.GPU]
    busy = [(history, _busy_rows(history)) for history in cards]
    history, rows = max(busy, key=lambda found: len(found[1]), default=(None, []))
    if history is None or not rows:
        return None
    device = next((d for d in devices if _is_of(d, history)), {})
    pcie = device.get("pcie") or {}
    clocks = _known(rows, "sm_clock_mhz")
    return GpuSamples(
        busy_samples=len(rows),
        throttled=_throttled(rows),
        clock_mhz=fmean(clocks) if clocks else None,
        clock_max_mhz=max(clocks, default=None),
        pcie_gen=pcie.get("gen"),
        pcie_gen_max=pcie.get("gen_max"),
        pcie_width=pcie.get("width"),
        pcie_width_max=pcie.get("width_max"),
        others_mb=_newest(rows, "vram_others_mb"),
        total_mb=_newest(rows, "vram_total_mb"),
    )


def device_peaks(devices: Sequence[Device], name: str | None) -> DevicePeaks | None:
    """Look up what a card can do at most.

    Parameters
    ----------
    devices : sequence of mapping
        The cards as the heartbeats tell them.
    name : str or None
        The card that the runs used; None for runs without one.

    Returns
    -------
    DevicePeaks or None
        None where the card, or the rate of its memory, is not known.
    """
    if name is None:
        return None
    device = next((d for d in devices if d.get("name") == name), {})
    peak = peak_of(
        name, device.get("compute_capability"), device.get("sms"), device.get("sm_clock_max_mhz")
    )
    if peak is None or peak.bandwidth_gb_s is None:
        return None
    return DevicePeaks(peak.flop_per_s, peak.bandwidth_gb_s * 1e9)


def _busy_rows(history: DeviceHistory) -> list[Sequence[Any]]:
    return [row for row in history.rows if row[_PLACE["job"]] is not None]


def _throttled(rows: Sequence[Sequence[Any]]) -> dict[str, float]:
    """Return per reason the share of the readings in which it held; {} where none tells."""
    told = [row[_PLACE["throttle"]] for row in rows if row[_PLACE["throttle"]] is not None]
    reasons = Counter(reason for active in told for reason in set(active))
    return {reason: count / len(told) for reason, count in reasons.items()}


def _known(rows: Sequence[Sequence[Any]], name: str) -> list[float]:
    return [row[_PLACE[name]] for row in rows if row[_PLACE[name]] is not None]


def _newest(rows: Sequence[Sequence[Any]], name: str) -> float | None:
    values = _known(rows, name)
    return values[-1] if values else None


def _is_of(device: Device, history: DeviceHistory) -> bool:
    return str(device.get("uuid") or device.get("index")) == history.device.key
