"""What heartbeats and moves tell of copies from host memory to the card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from backend.jobs.residency_moves import KEPT_MOVES
from backend.profiling.advice.evidence import CopyFigures
from backend.profiling.advice.rule import MIN_RUNS
from backend.profiling.run_summary import RunSummary
from backend.units import MB

Document = Mapping[str, Any]

# Only there a copy crosses a link, see ``backend.residency.snapshot``.
CUDA = "cuda"
GB = 1e9
# As ``backend.residency.states`` writes them; the web process knows nothing of that package.
PAGEABLE = ("none", "partial")
ARRIVED = ("restoring", "resident")


def copy_figures(
    beats: Sequence[Document], moves: Sequence[Document], of_queue: Sequence[RunSummary]
) -> CopyFigures | None:
    """Sum up the copies of models that are not page-locked as a whole.

    Parameters
    ----------
    beats : sequence of mapping
        The last words of the GPU workers: each model with its size, its place in host memory and
        its last restore; what a page-locked copy reached when the card was opened; free memory.
    moves : sequence of mapping
        From ``residency_moves.read_moves``, oldest first.
    of_queue : sequence of RunSummary
        Runs of all work that the same workers do.

    Returns
    -------
    CopyFigures or None
        None with fewer than five runs, without a card, or where all copies are page-locked.
    """
    on_card = [beat for beat in beats if _residency(beat).get("backend") == CUDA]
    pageable = {
        str(model["name"]): model
        for beat in on_card
        for model in beat.get("models") or []
        if _is_pageable(model)
    }
    since = _known_since(moves, of_queue)
    if not pageable or since is None:
        return None
    runs = sum(run.started_at >= since for run in of_queue)
    restores = _restores(moves, since)
    copied_mb = sum(restores[name] * model["size_mb"] for name, model in pageable.items())
    if runs < MIN_RUNS or not copied_mb:
        return None
    last = [model["last_restore"] for model in pageable.values()]
    return CopyFigures(
        bytes_per_job=copied_mb * MB / runs,
        bytes_per_s=sum(one["size_mb"] for one in last)
        * MB
        / sum(one["elapsed_s"] for one in last),
        pinned_bytes_per_s=_slowest_link(on_card),
        free_host_bytes=_free_host(on_card),
    )


def _residency(beat: Document) -> Document:
    found: Document = beat.get("residency") or {}
    return found


def _is_pageable(model: Document) -> bool:
    """Whether a model was copied from memory that is not page-locked, or only in part."""
    restore = model.get("last_restore") or {}
    timed = bool(restore.get("elapsed_s")) and bool(restore.get("size_mb"))
    return timed and bool(model.get("size_mb")) and model.get("pinned") in PAGEABLE


def _known_since(moves: Sequence[Document], of_queue: Sequence[RunSummary]) -> datetime | None:
    """Return from when on both the runs and the moves are known."""
    begins = [min(run.started_at for run in of_queue)] if of_queue else []
    if len(moves) >= KEPT_MOVES:  # older ones were dropped
        begins.append(datetime.fromisoformat(str(moves[0]["at"])))
    return max(begins, default=None)


def _restores(moves: Sequence[Document], since: datetime) -> Counter[str]:
    """Count how often each model was copied to a card."""
    return Counter(
        str(move["model"])
        for move in moves
        if move.get("kind") == "move"
        and move.get("on_gpu")
        and (move.get("from"), move.get("to")) == ARRIVED
        and datetime.fromisoformat(str(move["at"])) >= since
    )


def _slowest_link(beats: Sequence[Document]) -> float | None:
    """Return what a page-locked copy reaches on every card, in bytes per second."""
    links = [(_residency(beat).get("link") or {}).get("gb_per_s") for beat in beats]
    return None if None in links else min(link for link in links if link is not None) * GB


def _free_host(beats: Sequence[Document]) -> float | None:
    """Return what every worker finds free in host memory, in bytes."""
    free_mb = [(_residency(beat).get("host") or {}).get("free_mb") for beat in beats]
    return None if None in free_mb else min(one for one in free_mb if one is not None) * MB
