"""One recorded tensor beside what we compute."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Comparison:
    """How far a tensor is from the recorded one.

    Parameters
    ----------
    name : str
        File and tensor.
    deviation : float
        Largest absolute difference; infinite where shapes, or the places of NaN, differ.
    tolerance : float
        As recorded with the tensors.
    note : str
        What was compared if that is not value by value.
    relative : float
        What else is tolerated, as a share of the recorded value.
    share : float, optional
        Largest share of what is tolerated that a difference takes, where that depends on the
        value; 1 is all of it.
    """

    name: str
    deviation: float
    tolerance: float
    note: str = ""
    relative: float = 0.0
    share: float | None = None

    @property
    def holds(self) -> bool:
        """Whether it is within its tolerance; NaN is not."""
        if self.share is not None:
            return self.share <= 1
        return self.deviation <= self.tolerance


def compared(
    name: str,
    actual: Tensor,
    expected: Tensor,
    tolerance: float,
    note: str = "",
    relative: float = 0.0,
) -> Comparison:
    """Compare two tensors value by value; NaN must be where NaN was.

    Parameters
    ----------
    relative : float
        Tolerated beside ``tolerance``, as a share of the expected value.
    """
    if actual.shape != expected.shape:
        shapes = f"shape {tuple(actual.shape)}, not {tuple(expected.shape)}"
        return Comparison(name, math.inf, tolerance, shapes)
    actual, expected = actual.detach().double(), expected.double()
    unknown = actual.isnan()
    if not torch.equal(unknown, expected.isnan()):
        return Comparison(name, math.inf, tolerance, "other values are NaN")
    known = ~unknown
    if not bool(known.any()):
        return Comparison(name, 0.0, tolerance, "all NaN")
    apart = (actual - expected)[known].abs()
    if not relative:
        return Comparison(name, float(apart.max()), tolerance, note)
    share = float((apart / (tolerance + relative * expected[known].abs())).max())
    return Comparison(name, float(apart.max()), tolerance, note, relative, share)


def compared_exactly(name: str, actual: Tensor, expected: Tensor, note: str = "") -> Comparison:
    """Compare whole numbers, none of which may differ."""
    if actual.shape != expected.shape:
        return compared(name, actual, expected, 0.0)
    differing = int((actual.long() != expected.long()).sum())
    told = f"{differing} of {expected.numel()} differ" if differing else note
    return Comparison(name, float(differing), 0.0, told)


def failed(name: str, reason: object, tolerance: float = 0.0) -> Comparison:
    """Return the line of something that could not be compared."""
    return Comparison(name, math.inf, tolerance, " ".join(str(reason).split()))


def compared_as_sets(
    name: str, actual: Tensor, expected: Tensor, tolerance: float, note: str = ""
) -> Comparison:
    """Compare points without regard to their order.

    Parameters
    ----------
    actual, expected : Tensor, shape (n, 3)
    """
    if not len(actual) or not len(expected):
        counts = f"{len(expected)} points, ours {len(actual)}"
        deviation = 0.0 if len(actual) == len(expected) else math.inf
        return Comparison(name, deviation, tolerance, counts)
    from scipy.spatial import KDTree

    there, back = (
        float(np.max(KDTree(one).query(other)[0]))
        for one, other in (
            (expected.double().numpy(), actual.detach().double().numpy()),
            (actual.detach().double().numpy(), expected.double().numpy()),
        )
    )
    return Comparison(name, max(there, back), tolerance, note or "as sets of points")
