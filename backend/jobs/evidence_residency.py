"""What heartbeats, moves of models and stored runs tell of models that come and go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby, pairwise
from statistics import median
from typing import Any

from backend.jobs.residency_moves import KEPT_MOVES
from backend.profiling.advice.evidence import QueueFigures, ResidencyFigures
from backend.profiling.advice.rule import MIN_RUNS
from backend.profiling.run_summary import RunSummary

Document = Mapping[str, Any]

# A job is cold when loads take at least this share of it.
COLD_SHARE = 0.25
RESTORED = ("restoring", "resident")
LEAVING, IDLE = "draining", "idle"


def residency_figures(
    beats: Sequence[Document],
    moves: Sequence[Document],
    alike: Sequence[RunSummary],
    of_queue: Sequence[RunSummary],
    queue: QueueFigures | None = None,
) -> ResidencyFigures | None:
    """Sum up the moves of models.

    A model leaves and returns for the sake of any job, so moves and pauses are related to all
    runs of the queue, over the time that is known of all three: of this work, the queue, the moves.

    Parameters
    ----------
    beats : sequence of mapping
        The last words of the GPU workers.
    moves : sequence of mapping
        From ``residency_moves.read_moves``, oldest first.
    alike : sequence of RunSummary
        Runs of one kind of work.
    of_queue : sequence of RunSummary
        Runs of all work that the same workers do, whatever became of them; none for work that
        other workers do.
    queue : QueueFigures, optional
        How many jobs wait, which decides how many of a model could run in a row.

    Returns
    -------
    ResidencyFigures or None
        None without runs of this work. Swaps are None with fewer than five runs, and there are
        no gaps unless a model came back that had left for idleness.
    """
    if not alike:
        return None
    since = _known_since(moves, alike, of_queue)
    runs = [run for run in of_queue if run.started_at >= since]
    later = [move for move in moves if _is_since(move, since)]
    models = [model for beat in beats for model in beat.get("models") or [] if model.get("loads")]
    swaps_per_job = _swaps_per_job(later, len(runs))
    waiting = queue.waiting if queue else None
    names = {str(model["name"]) for model in models}
    restore_s = _restore_s(models)
    cold_s = [r.load_s for r in alike if r.load_s and r.load_s >= COLD_SHARE * r.total_s]
    return ResidencyFigures(
        n=len(alike),
        models=len(names) or None,
        swaps_per_job=swaps_per_job,
        grouped_swaps_per_job=_grouped(swaps_per_job, len(names), waiting),
        swap_s=restore_s,
        gaps_s=_gaps_s(runs) if names and _idled(later) else (),
        idle_offload_s=_idle_offload_s(beats),
        restore_s=restore_s,
        all_fit=_all_fit(beats),
        cold_jobs=len(cold_s) / len(alike) if any(r.load_s is not None for r in alike) else None,
        load_s=median(cold_s) if cold_s else None,
    )


def _known_since(
    moves: Sequence[Document], alike: Sequence[RunSummary], of_queue: Sequence[RunSummary]
) -> datetime:
    """Return from when on runs of this work, runs of the queue and moves are all known."""
    begins = [min(run.started_at for run in found) for found in (alike, of_queue) if found]
    if len(moves) >= KEPT_MOVES:  # older ones were dropped
        begins.append(datetime.fromisoformat(str(moves[0]["at"])))
    return max(begins)


def _is_since(move: Document, since: datetime) -> bool:
    return move.get("kind") == "move" and datetime.fromisoformat(str(move["at"])) >= since


def _is_restore(move: Document) -> bool:
    return (move.get("from"), move.get("to")) == RESTORED


def _swaps_per_job(moves: Sequence[Document], runs: int) -> float | None:
    """Count restores of a model that another one had replaced, per run in the same time."""
    restored = [move for move in moves if _is_restore(move)]
    if not restored or runs < MIN_RUNS:
        return None
    by_worker = groupby(sorted(restored, key=_worker), key=_worker)
    return sum(_swaps([str(m["model"]) for m in own]) for _, own in by_worker) / runs


def _idled(moves: Sequence[Document]) -> bool:
    """Whether a model had to be brought back that had left for idleness."""
    reasons: dict[tuple[str, str], str] = {}
    for move in moves:
        model = _worker(move), str(move.get("model"))
        if move.get("to") == LEAVING:
            reasons[model] = str(move.get("reason"))
        elif _is_restore(move) and reasons.get(model) == IDLE:
            return True
    return False


def _swaps(names: Sequence[str]) -> int:
    """Count the changes from one model to another that was there before.

    >>> _swaps(["a", "b", "a", "a", "b"]), _swaps(["a", "a", "b"])
    (2, 0)
    """
    seen = {names[0]}
    swaps = 0
    for before, after in pairwise(names):
        swaps += after != before and after in seen
        seen.add(after)
    return swaps


def _grouped(swaps: float | None, models: int, waiting: float | None) -> float | None:
    """Estimate the swaps per job if the jobs that wait ran model by model.

    Of those that wait together and the one that runs, each model has its turn once, and the turn
    that ends one round begins the next.
    """
    if swaps is None or waiting is None or models < 2:
        return None
    return min(swaps, (models - 1) / (1 + waiting))


def _restore_s(models: Sequence[Document]) -> float | None:
    """Return the median of the models' last restores."""
    known = [model["last_restore"]["elapsed_s"] for model in models if model.get("last_restore")]
    return median(known) if known else None


def _gaps_s(runs: Sequence[RunSummary]) -> tuple[float, ...]:
    """Return how long the queue had rested before each run but the first, oldest first."""
    gaps_s: list[float] = []
    free_from: datetime | None = None
    for run in sorted(runs, key=lambda run: run.started_at):
        end = run.started_at + timedelta(seconds=run.total_s)
        if free_from is not None:
            gaps_s.append(max(0.0, (run.started_at - free_from).total_seconds()))
        free_from = max(end, free_from or end)
    return tuple(gaps_s)


def _idle_offload_s(beats: Sequence[Document]) -> float | None:
    """Return the timer, where some model obeys it: one that stays resident does not."""
    for beat in beats:
        conducts = {model.get("conduct") for model in beat.get("models") or []} - {None}
        if conducts - {"resident"}:
            value: float | None = (beat.get("residency") or {}).get("idle_offload_s")
            return value
    return None


def _all_fit(beats: Sequence[Document]) -> bool | None:
    """Whether the models of each worker fit on its device together, beside their working memory."""
    known = [fit for beat in beats if (fit := _fit(beat)) is not None]
    return all(known) if known else None


def _fit(beat: Document) -> bool | None:
    sizes_mb = [model.get("size_mb") for model in beat.get("models") or [] if model.get("loads")]
    budget = (beat.get("residency") or {}).get("budget") or {}
    parts = [budget.get(name) for name in ("available_mb", "models_mb")]
    if not sizes_mb or None in sizes_mb or None in parts:
        return None
    # What may still be taken and what the models hold already is what they may hold in all.
    return sum(float(size) for size in sizes_mb if size) <= sum(float(p) for p in parts if p)


def _worker(move: Document) -> str:
    return str(move.get("worker"))
