"""What a faster part is worth to the whole, and the most that it can be worth."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from backend.errors import InvalidParameter

# Well tuned kernels reach about this part of the data sheet's peak.
REACHABLE = 0.7
ROUNDING = 1e-9
NO_RANGE = "The speed-ups are no range above 0."


@dataclass(frozen=True)
class Gain:
    """Seconds saved per job: the range to expect, and the most if the part took no time."""

    low_s: float
    high_s: float
    ceiling_s: float


@dataclass(frozen=True)
class Lever:
    """One action: it makes a stage `factor_low` to `factor_high` times as fast.

    Parameters
    ----------
    stage : str
        The stage it acts on.
    mechanism : str
        How it acts; two levers of one mechanism on one stage save the same work twice.
    share : float
        The stage's share of the critical path, 0 to 1.
    factor_low, factor_high : float
        The local speed-up, above 0; below 1 is slower, infinity leaves nothing of the stage.
    """

    stage: str
    mechanism: str
    share: float
    factor_low: float
    factor_high: float


@dataclass(frozen=True)
class Span:
    """When a stage ran, in seconds since any origin."""

    stage: str
    start_s: float
    end_s: float


class Bound(StrEnum):
    """What holds a stage back at best."""

    COMPUTE = "compute"
    MEMORY = "memory"


@dataclass(frozen=True)
class Roofline:
    """The largest speed-up physics allows, and the largest that may be promised."""

    factor_max: float
    factor_promised: float
    bound: Bound

    def capped(self, factor_low: float, factor_high: float) -> tuple[float, float]:
        """Cut a range of speed-ups to what may be promised.

        >>> Roofline(3.0, 2.1, Bound.COMPUTE).capped(1.5, 4.0)
        (1.5, 2.1)
        """
        return min(factor_low, self.factor_promised), min(factor_high, self.factor_promised)


def saving_s(total_s: float, share: float, factor_low: float, factor_high: float) -> Gain:
    """Tell what a local speed-up saves of the whole.

    Parameters
    ----------
    total_s : float
        Seconds of the whole job, not negative.
    share : float
        The part's share of the critical path, 0 to 1.
    factor_low, factor_high : float
        The local speed-up as a range, above 0, possibly infinite.

    Returns
    -------
    Gain
        Negative where a factor is below 1.

    Raises
    ------
    InvalidParameter
        A figure is out of its range.

    Source
    ------
    G. M. Amdahl (1967): the saving is T p (1 - 1/k), and T p as k goes to infinity.

    Examples
    --------
    >>> saving_s(100.0, 0.25, 1.0, 2.0)
    Gain(low_s=0.0, high_s=12.5, ceiling_s=25.0)
    """
    _require(math.isfinite(total_s) and total_s >= 0, "A job takes no negative or endless time.")
    _require(0 <= share <= 1, f"A share lies between 0 and 1, not at {share}.")
    _require(0 < factor_low <= factor_high, NO_RANGE)
    part_s = total_s * share
    return Gain(part_s * (1 - 1 / factor_low), part_s * (1 - 1 / factor_high), part_s)


def combined_saving_s(total_s: float, levers: Iterable[Lever]) -> Gain:
    """Tell what several actions save together, without counting any second twice.

    Parameters
    ----------
    total_s : float
        Seconds of the whole job before any of them, not negative.
    levers : iterable of Lever
        Levers on one stage must agree on its share.

    Returns
    -------
    Gain
        All zero without levers.

    Raises
    ------
    InvalidParameter
        A figure is out of range, shares of one stage differ, or all shares exceed 1.

    Source
    ------
    On one stage factors multiply if their mechanisms differ, else the larger holds. Across
    stages each saving is taken from the total that the others leave: the stage's seconds are
    unchanged and its share of the new total is larger, so that the seconds saved add up.

    Examples
    --------
    >>> combined_saving_s(
    ...     100.0,
    ...     [
    ...         Lever("denoise", "precision", 0.5, 2.0, 2.0),
    ...         Lever("denoise", "fewer steps", 0.5, 2.5, 2.5),
    ...         Lever("decode", "sparse grid", 0.2, 2.0, 4.0),
    ...     ],
    ... )
    Gain(low_s=50.0, high_s=55.0, ceiling_s=70.0)
    """
    stages: dict[str, list[Lever]] = defaultdict(list)
    for lever in levers:
        stages[lever.stage].append(lever)
    gains = [_stage_gain(total_s, found) for found in stages.values()]
    ceiling_s = math.fsum(gain.ceiling_s for gain in gains)
    _require(ceiling_s <= total_s * (1 + ROUNDING), "The stages' shares exceed the whole.")
    low_s = math.fsum(gain.low_s for gain in gains)
    return Gain(low_s, math.fsum(gain.high_s for gain in gains), ceiling_s)


def critical_shares(spans: Iterable[Span]) -> dict[str, float]:
    """Tell which share of the wall time each stage holds up alone.

    Time that two stages share counts for neither: with one of them shortened, the other still
    runs. Spans of one stage may overlap each other.

    Parameters
    ----------
    spans : iterable of Span
        When the stages of one job ran.

    Returns
    -------
    dict of str to float
        Per stage 0 to 1; the sum falls short of 1 by what overlaps or idles.

    Raises
    ------
    InvalidParameter
        A span is not finite or ends before it starts, or all of them together last no time.

    Examples
    --------
    >>> critical_shares([Span("a", 0.0, 6.0), Span("b", 4.0, 10.0)])
    {'a': 0.4, 'b': 0.4}
    """
    found = list(spans)
    _require(all(_is_span(span) for span in found), "A span ends before it starts.")
    starts = [(span.start_s, 1, span.stage) for span in found]
    events = sorted(starts + [(span.end_s, -1, span.stage) for span in found])
    _require(bool(events) and events[0][0] < events[-1][0], "The spans last no time.")
    alone_s = {span.stage: 0.0 for span in found}
    running: Counter[str] = Counter()
    for (time_s, step, stage), (next_s, _, _) in pairwise(events):
        running[stage] += step
        if not running[stage]:
            del running[stage]
        if len(running) == 1:
            alone_s[next(iter(running))] += next_s - time_s
    wall_s = events[-1][0] - events[0][0]
    return {stage: seconds / wall_s for stage, seconds in alone_s.items()}


def roofline(
    gpu_s: float, flop: float, moved_bytes: float, peak_flop_per_s: float, peak_bytes_per_s: float
) -> Roofline:
    """Bound the speed-up of a stage by what its work needs at the device's peaks.

    Parameters
    ----------
    gpu_s : float
        Measured seconds on the GPU, above 0.
    flop : float
        Floating-point operations of the stage, not negative.
    moved_bytes : float
        Bytes it must move to and from device memory, not negative.
    peak_flop_per_s, peak_bytes_per_s : float
        The device's peaks for the precision in use, above 0.

    Returns
    -------
    Roofline
        `factor_promised` allows for 0.7 of the peak and never falls below 1, which is to
        promise nothing. A `factor_max` below 1 says that counts or peaks are wrong.

    Raises
    ------
    InvalidParameter
        A figure is out of range, or the stage neither computes nor moves anything.

    Source
    ------
    S. Williams, A. Waterman and D. Patterson, Roofline (2009): the least time is
    max(flop / peak, bytes / bandwidth), and k_max = t_gpu / t_min.

    Examples
    --------
    >>> roofline(2.0, 100e12, 1e12, 200e12, 1e12)
    Roofline(factor_max=2.0, factor_promised=1.4, bound=<Bound.MEMORY: 'memory'>)
    """
    figures = (gpu_s, peak_flop_per_s, peak_bytes_per_s)
    _require(all(math.isfinite(f) and f > 0 for f in figures), "Times and peaks are above 0.")
    _require(all(math.isfinite(w) and w >= 0 for w in (flop, moved_bytes)), "Work is not negative.")
    compute_s, memory_s = flop / peak_flop_per_s, moved_bytes / peak_bytes_per_s
    least_s = max(compute_s, memory_s)
    _require(least_s > 0, "The stage has no work to bound it.")
    factor_max = gpu_s / least_s
    bound = Bound.COMPUTE if compute_s >= memory_s else Bound.MEMORY
    return Roofline(factor_max, max(1.0, REACHABLE * factor_max), bound)


def _stage_gain(total_s: float, levers: Sequence[Lever]) -> Gain:
    _require(len({lever.share for lever in levers}) == 1, "Levers disagree on a stage's share.")
    _require(all(lever.factor_low <= lever.factor_high for lever in levers), NO_RANGE)
    mechanisms: dict[str, tuple[float, float]] = {}
    for lever in levers:
        low, high = mechanisms.get(lever.mechanism, (0.0, 0.0))
        mechanisms[lever.mechanism] = max(low, lever.factor_low), max(high, lever.factor_high)
    low = math.prod(low for low, _ in mechanisms.values())
    return saving_s(total_s, levers[0].share, low, math.prod(h for _, h in mechanisms.values()))


def _is_span(span: Span) -> bool:
    return math.isfinite(span.start_s) and span.start_s <= span.end_s < math.inf


def _require(met: bool, otherwise: str) -> None:
    if not met:
        raise InvalidParameter(otherwise)
