"""Which stage of each pipeline takes the longest, in the words of earlier versions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backend.catalog import PIPELINES, ImageTo3DParams
from backend.jobs.history import StageStatistics
from backend.profiling.bottlenecks import THRESHOLD_PERCENT, severity_of

FEW_RUNS = 5


def slowest_stages(stages: Sequence[StageStatistics]) -> list[dict[str, Any]]:
    """Name the slowest stage of each pipeline, with the numbers behind it.

    Parameters
    ----------
    stages : sequence of StageStatistics
        The largest share first.
    """
    slowest: dict[str, StageStatistics] = {}
    for stage in stages:
        slowest.setdefault(stage.pipeline, stage)
    found = (stage for stage in slowest.values() if THRESHOLD_PERCENT <= stage.share_pct < 100)
    return [_entry(stage) for stage in found]


def _remedy(pipeline: str) -> str:
    """Advise the draft where every engine heeds it; those of parts do only with networks."""
    heeding = [name for name in PIPELINES if issubclass(PIPELINES[name].params, ImageTo3DParams)]
    return " The draft preset shortens it first." if pipeline in heeding else ""


def _entry(stage: StageStatistics) -> dict[str, Any]:
    name = stage.stage.replace("_", " ")
    caution = " Few runs so far: take it with care." if stage.runs < FEW_RUNS else ""
    return {
        "id": f"slowest-stage:{stage.pipeline}:{stage.stage}",
        "title": f"Most of the time goes into {name}",
        "detail": (
            f"{name.capitalize()} takes {stage.share_pct:.0f} % of {stage.pipeline}, half of the "
            f"time at most {stage.p50_s:.2f} s.{_remedy(stage.pipeline)}{caution}"
        ),
        "severity": severity_of(stage.share_pct).value,
        "evidence": {
            "n": stage.runs,
            "p50_s": round(stage.p50_s, 4),
            "max_s": round(stage.max_s, 4),
            "share_pct": round(stage.share_pct, 1),
            "pipeline": stage.pipeline,
            "stage": stage.stage,
        },
    }
