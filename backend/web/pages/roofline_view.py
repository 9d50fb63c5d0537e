"""What the performance page shows of the stages that ran on a GPU beside the card's peaks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from backend.gpu.peaks import GpuPeak, peak_of
from backend.jobs.busy_clock import BusyClock
from backend.profiling.run_summary import RunStage
from backend.profiling.spans import SpanKind
from backend.profiling.stage_standing import StageStanding, standing_of, usual_stage
from backend.web.charts.roofline import Reached, Roofline, roofline, y_px
from backend.web.pages.inner_stages import inner_stages

# A card hardly ever holds its highest clock to the last MHz.
LOW_CLOCK = 0.97


@dataclass(frozen=True)
class RooflineRow:
    """A stage with what it reaches.

    Parameters
    ----------
    number : int or None
        That of its point; None if it has no place on the chart.
    mfu_at_clock : float or None
        MFU of the latest runs beside the peak at the clock the card held in them.
    """

    stage: RunStage
    standing: StageStanding
    number: int | None
    mfu_at_clock: float | None


@dataclass(frozen=True)
class RooflinePanel:
    """The stages that were timed on the GPU of the newest run.

    Parameters
    ----------
    rows : dict of str to RooflineRow
        By name of the stage; empty on a processor.
    has_work : bool
        Whether the work of any stage is known.
    peak : GpuPeak or None
        Of the device; None if it is not known.
    y_px : list of float
        Where the marks of the upward axis lie.
    clock : BusyClock or None
        Of the card at work, if it is lower than the clock its peak is told for.
    """

    device: str | None
    rows: dict[str, RooflineRow]
    has_work: bool
    peak: GpuPeak | None
    chart: Roofline | None
    y_px: list[float]
    clock: BusyClock | None


def roofline_panel(
    runs: Sequence[Mapping[str, Any]], clock: BusyClock | None = None
) -> RooflinePanel:
    """Write what the panel shows.

    Parameters
    ----------
    runs : sequence of mapping
        Finished runs of one kind of work, newest first. Those on another device than the newest
        do not count.
    clock : BusyClock, optional
        Of the device of the newest run, of late.
    """
    device = runs[0].get("device") if runs else None
    peak = peak_of(device) if device else None
    found = [(s, standing_of(s, peak)) for s in _usual(runs, device)]
    timed = [(stage, standing) for stage, standing in found if standing is not None]
    placed = [_reached(stage, s) for stage, s in timed if _has_place(s, peak)]
    chart = roofline(placed, peak.flop_per_s, peak.bytes_per_s) if peak else None
    numbers = {point.name: point.number for point in chart.points} if chart else {}
    low = clock if clock and peak and _is_low(clock, device, peak) else None
    held = _mfu_at(low, runs, peak) if low and peak else {}
    return RooflinePanel(
        device=device,
        rows={
            stage.name: RooflineRow(stage, standing, numbers.get(stage.name), held.get(stage.name))
            for stage, standing in timed
        },
        has_work=any(standing.flop_per_s is not None for _, standing in timed),
        peak=peak,
        chart=chart,
        y_px=[y_px(tick) for tick in chart.y_ticks] if chart else [],
        clock=low,
    )


def _is_low(clock: BusyClock, device: str | None, peak: GpuPeak) -> bool:
    return clock.device == device and clock.mhz < LOW_CLOCK * peak.boost_mhz


def _mfu_at(
    clock: BusyClock, runs: Sequence[Mapping[str, Any]], peak: GpuPeak
) -> dict[str, float | None]:
    """Judge the runs since then by the clock that the card held since then."""
    latest = [r for r in runs if datetime.fromisoformat(r["started_at"]) >= clock.since]
    device = runs[0].get("device")
    found = {s.name: standing_of(s, peak.at_clock(clock.mhz)) for s in _usual(latest, device)}
    return {name: standing.mfu for name, standing in found.items() if standing is not None}


def _usual(runs: Sequence[Mapping[str, Any]], device: str | None) -> list[RunStage]:
    entries: dict[str, list[Mapping[str, Any]]] = {}
    for run in runs:
        if run.get("device") == device:
            for stage in _all_stages(run):
                if stage["kind"] != SpanKind.QUEUE and stage["elapsed_s"] is not None:
                    entries.setdefault(stage["name"], []).append(stage)
    return [usual_stage(found) for found in entries.values()]


def _all_stages(run: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for stage in run["stages"]:
        yield stage
        yield from inner_stages(stage)


def _has_place(standing: StageStanding, peak: GpuPeak | None) -> bool:
    """Whether a stage can be drawn: on logarithmic axes nothing is at 0, nor above a roof."""
    if peak is None or not (standing.intensity and standing.flop_per_s):
        return False
    is_below_slope = peak.bytes_per_s is None or standing.bandwidth_share is not None
    return standing.mfu is not None and is_below_slope


def _reached(stage: RunStage, standing: StageStanding) -> Reached:
    return Reached(stage.name, standing.intensity or 0.0, standing.flop_per_s or 0.0, stage.dtype)
