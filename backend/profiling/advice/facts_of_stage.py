"""What engines noted of a stage in its runs, as the figures that the rules look at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from backend.profiling.advice.stage_evidence import (
    AttentionFigures,
    CompileFigures,
    DecodeFigures,
    MatmulFigures,
    StepFigures,
)
from backend.profiling.run_summary import RunStage
from backend.profiling.stage_facts import FactName

Document = Mapping[str, Any]


@dataclass(frozen=True)
class StageFactFigures:
    """The figures of one stage; None where its engine told nothing of the kind."""

    matmul: MatmulFigures | None
    attention: AttentionFigures | None
    steps: StepFigures | None
    decode: DecodeFigures | None
    compiled: CompileFigures | None


def figures_of(stages: Sequence[RunStage]) -> StageFactFigures:
    """Sum up what one stage told in runs of like work.

    Parameters
    ----------
    stages : sequence of RunStage
        The stage in each run that had it, newest first.
    """
    stages = [stage for stage in stages if stage.facts]
    return StageFactFigures(
        matmul=_matmul(documents(stages, FactName.PRODUCTS)),
        attention=_attention(stages),
        steps=_steps(documents(stages, FactName.LOOP)),
        decode=_decode(documents(stages, FactName.DECODE)),
        compiled=_compiled(documents(stages, FactName.COMPILED)),
    )


def documents(stages: Sequence[RunStage], name: FactName) -> list[Document]:
    """Pick one kind of fact, of the runs that told it."""
    return [stage.facts[name.value] for stage in stages if name.value in stage.facts]


def known(found: Sequence[Document], name: str) -> list[float]:
    """List a figure where it is known."""
    return [float(document[name]) for document in found if document.get(name) is not None]


def _matmul(found: Sequence[Document]) -> MatmulFigures | None:
    """Products take at most their share of the operations: nothing else computes as fast."""
    alike = _like_newest(found, "dtype")
    shares = known(alike, "flop_share")
    if not shares or alike[0].get("dtype") is None:
        return None
    return MatmulFigures(str(alike[0]["dtype"]), min(1.0, median(shares)))


def _attention(stages: Sequence[RunStage]) -> AttentionFigures | None:
    """Compare with the backend that was the best in most of the runs: close ones change places."""
    told = [stage for stage in stages if _is_timed(stage.facts.get(FactName.ATTENTION.value, {}))]
    now = _like_newest(documents(told, FactName.ATTENTION), "backend")
    if not now:
        return None
    backend = now[0]["backend"]
    best = Counter(document["best_backend"] for document in now).most_common(1)[0][0]
    alike = [document for document in now if document["best_backend"] == best]
    shares = [
        min(1.0, document["calls"] * document["now_s"] / stage.elapsed_s)
        for stage in told
        if (document := stage.facts[FactName.ATTENTION.value]) in alike and stage.elapsed_s > 0
    ]
    if not shares:
        return None
    now_s, best_s = median(known(alike, "now_s")), median(known(alike, "best_s"))
    return AttentionFigures(str(backend), str(best), median(shares), now_s, best_s)


def _is_timed(document: Document) -> bool:
    names = ("backend", "best_backend", "now_s", "best_s", "calls")
    return all(document.get(name) is not None for name in names)


def _steps(found: Sequence[Document]) -> StepFigures | None:
    newest = next(iter(found), {})
    steps, fewer = newest.get("steps"), newest.get("fewer_steps")
    return None if steps is None or fewer is None else StepFigures(int(steps), int(fewer))


def _decode(found: Sequence[Document]) -> DecodeFigures | None:
    alike = _like_newest(found, "resolution")
    queries, fewer = known(alike, "queries"), known(alike, "hierarchical_queries")
    if not queries or alike[0].get("resolution") is None:
        return None
    lower = alike[0].get("lower_resolution")
    return DecodeFigures(
        resolution=int(alike[0]["resolution"]),
        queries=int(median(queries)),
        hierarchical_queries=int(median(fewer)) if fewer else None,
        lower_resolution=None if lower is None else int(lower),
        same_surface=_all_known([document.get("same_surface") for document in alike]),
        bookkeeping_s=median(own) if (own := known(alike, "bookkeeping_s")) else None,
    )


def _compiled(found: Sequence[Document]) -> CompileFigures | None:
    alike = _like_newest(found, "is_on")
    if not alike or alike[0].get("is_on") is None:
        return None
    breaks, compile_s = known(alike, "graph_breaks"), known(alike, "compile_s")
    again, again_s = known(alike, "recompiles"), known(alike, "recompile_s")
    return CompileFigures(
        is_on=bool(alike[0]["is_on"]),
        compile_s=median(compile_s) if compile_s else None,
        graph_breaks=int(breaks[0]) if breaks else None,
        # Few jobs bear it all, so a median would hide it.
        recompiles_per_job=fmean(again) if again else None,
        recompile_s=fmean(again_s) if again_s else None,
    )


def _like_newest(found: Sequence[Document], name: str) -> list[Document]:
    return [document for document in found if document.get(name) == found[0].get(name)]


def _all_known(values: Sequence[bool | None]) -> bool | None:
    """Tell whether all hold; None if some are not known and none is known not to."""
    if False in values:
        return False
    return None if None in values else bool(values)
