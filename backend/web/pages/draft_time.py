"""What a draft of the network that finds parts takes, as the form of meshes tells it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from backend.jobs.network_part_times import network_part_times_s
from backend.web.pages.service import job_service

# The web process imports no engine: tests hold these to those of p3sam_effort, and the time to
# bench/results/parts_draft.json.
DRAFT_POINTS, DRAFT_PROMPTS = 20_000, 128
MEASURED_S, MEASURED_CORES = 45, 2


def draft_time_text() -> str:
    """Say how long a draft takes: here if one has run, otherwise where it was measured."""
    times_s = network_part_times_s(job_service().store.engine, DRAFT_POINTS, DRAFT_PROMPTS)
    return _measured_here(times_s) if times_s else _measured_elsewhere()


def _measured_here(times_s: Sequence[float]) -> str:
    """Tell the median and between what it lies.

    >>> _measured_here([44.2])
    'A draft with p3sam took 44 s here.'
    >>> _measured_here([50.0, 40.0, 44.0])
    'A draft with p3sam took 44 s here (40 to 50 s, last 3 jobs).'
    """
    middle = f"A draft with p3sam took {_seconds(statistics.median(times_s))} s here"
    if len(times_s) == 1:
        return f"{middle}."
    low, high = _seconds(min(times_s)), _seconds(max(times_s))
    return f"{middle} ({low} to {high} s, last {len(times_s)} jobs)."


def _measured_elsewhere() -> str:
    return (
        f"Without a GPU a draft with p3sam took {MEASURED_S} s on a machine with "
        f"{MEASURED_CORES} cores; none has run here yet."
    )


def _seconds(value: float) -> str:
    """Write as much of a time as means something.

    >>> _seconds(3.14), _seconds(44.2)
    ('3.1', '44')
    """
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"
