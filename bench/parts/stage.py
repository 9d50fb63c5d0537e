"""A stage that is done two ways, and what comes of it. Imports torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import Tensor

from bench.record import Figure
from bench.shape.outcome import Outcome, timed

OURS, REFERENCE = "ours", "reference"
Compare = Callable[[Any, Any], dict[str, Any]]


@dataclass(frozen=True)
class Stage:
    """What is done both ways.

    Parameters
    ----------
    name : str
    ours, reference : callable
        Both return what is compared.
    compare : callable
        Takes both results; ``holds`` in what it returns tells whether they are equal.
    note : str
        What a reader must know of the figure.
    """

    name: str
    ours: Callable[[], Any]
    reference: Callable[[], Any]
    compare: Compare
    note: str = ""

    def call(self, way: str) -> Any:
        """Do it one way."""
        return self.ours() if way == OURS else self.reference()


@dataclass
class Measured:
    """Figures and the row of a stage."""

    figures: list[Figure]
    row: dict[str, Any] = field(default_factory=dict)


@torch.no_grad()
def measured(stage: Stage, rounds: int, device: torch.device, console: Console) -> Measured:
    """Let both ways take turns, each time in another order; one call each before is not timed."""
    taken: dict[str, list[float]] = {OURS: [], REFERENCE: []}
    if rounds > 1:
        for way in taken:
            stage.call(way)
    last: dict[str, Outcome] = {}
    for number in range(rounds):
        order = (OURS, REFERENCE) if number % 2 == 0 else (REFERENCE, OURS)
        for way in order:
            one = timed(device, partial(stage.call, way))
            taken[way].append(one.taken_s)
            last[way] = one
    ratios = [slow / fast for fast, slow in zip(taken[OURS], taken[REFERENCE], strict=True)]
    figures = [Figure.of(f"{stage.name}: {way}", "s", times) for way, times in taken.items()]
    figures.append(Figure.of(f"{stage.name}: {REFERENCE} / {OURS}", "x", ratios))
    row: dict[str, Any] = {"stage": stage.name}
    row |= stage.compare(last[OURS].result, last[REFERENCE].result)
    for way, one in last.items():
        if one.peak_mb is not None:
            row[f"{way}_peak_mb"] = round(one.peak_mb)
    if stage.note:
        row["note"] = stage.note
    console.print(", ".join(f"{key} {value}" for key, value in row.items()))
    return Measured(figures, row)


def within(tolerance: float) -> Compare:
    """Compare tensors: the largest difference over the largest value."""

    def compare(ours: Tensor, reference: Tensor) -> dict[str, Any]:
        reference = reference.cpu().double()
        apart = (ours.cpu().double() - reference).abs().max() / reference.abs().max()
        return {"deviation": float(apart), "holds": bool(apart <= tolerance)}

    return compare


def rows_within(tolerance: float, least: float) -> Compare:
    """Compare rows of channels: the share that is nowhere off by more than the tolerance."""

    def compare(ours: Tensor, reference: Tensor) -> dict[str, Any]:
        reference = reference.cpu().double()
        apart = (ours.cpu().double() - reference).abs().amax(-1) / reference.abs().max()
        equal = apart <= tolerance
        share = float(equal.double().mean())
        return {
            "equal_rows": share,
            "deviation_of_those": float(apart[equal].max()) if share else None,
            "holds": share >= least,
        }

    return compare


def equal_share(least: float = 1.0) -> Compare:
    """Compare arrays of whole numbers or truths: the share that is equal."""

    def compare(ours: Any, reference: Any) -> dict[str, Any]:
        share = float(np.mean(np.asarray(ours) == np.asarray(reference)))
        return {"equal_share": share, "holds": share >= least}

    return compare
