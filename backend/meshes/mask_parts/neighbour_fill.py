"""Labels spread to faces that have none, pass after pass."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

MOST_PASSES = 50
FEW = 16
"""Faces that are looked at one by one as fast as together."""

Labels = NDArray[np.int64]


def filled_from_neighbours(
    table: NDArray[np.int64], labels: Labels, check_canceled: Callable[[], None] = lambda: None
) -> Labels:
    """Give faces without a label the one that most of their neighbours have.

    In each pass faces are looked at in the order of their numbers, and what one face is given
    counts for those that follow. Of labels that are as frequent the smallest is taken. A face
    waits only for neighbours with smaller numbers, so whatever waits for nothing more is decided
    at once: the result is exactly that of going through the faces one by one, as is done only
    where few are ready at a time.

    Parameters
    ----------
    table : (m, 3) int64
        Neighbours of each face; -1 where there is none.
    labels : (m,) int64
        Below 0 for faces without one.
    check_canceled : callable
        Called before each pass; what it raises is raised.

    Returns
    -------
    (m,) int64
        Faces that no label reaches, within 50 passes, stay as they were.
    """
    found = np.append(labels, np.int64(-1))  # the neighbour that is not there
    for _ in range(MOST_PASSES):
        check_canceled()
        reached = _reached_in_a_pass(table, found)
        if not len(reached):
            break
        _decide(table, found, reached)
    return found[:-1]


def _reached_in_a_pass(table: NDArray[np.int64], labels: Labels) -> NDArray[np.int64]:
    """Number the faces that a pass gives a label: some neighbour has one when it is their turn."""
    open_faces = np.flatnonzero(labels[:-1] < 0)
    front = open_faces[(labels[table[open_faces]] >= 0).any(axis=1)]
    is_reached = np.zeros(len(labels), dtype=np.bool_)
    is_reached[front] = True
    while len(front) > FEW:
        after = table[front]
        onwards = after[(after > front[:, None]) & (labels[after] < 0) & ~is_reached[after]]
        is_reached[onwards] = True
        front = np.unique(onwards)
    stack: list[int] = front.tolist()
    while stack:
        face = stack.pop()
        for other in table[face].tolist():
            if other > face and labels.item(other) < 0 and not is_reached.item(other):
                is_reached[other] = True
                stack.append(other)
    return np.flatnonzero(is_reached)


def _decide(table: NDArray[np.int64], labels: Labels, reached: NDArray[np.int64]) -> None:
    """Label all that a pass reaches, each face after those that it waits for."""
    is_reached = np.zeros(len(labels), dtype=np.bool_)
    is_reached[reached] = True
    waits = np.zeros(len(labels), dtype=np.int64)
    before = table[reached]
    waits[reached] = ((before < reached[:, None]) & is_reached[before]).sum(axis=1)
    ready = reached[waits[reached] == 0]
    while len(ready) > FEW:
        labels[ready] = _most_frequent(labels[table[ready]])
        after = table[ready]
        onwards = after[(after > ready[:, None]) & is_reached[after]]
        np.subtract.at(waits, onwards, 1)
        ready = np.unique(onwards[waits[onwards] == 0])
    rest = reached[labels[reached] < 0]
    for face, around in zip(rest.tolist(), table[rest].tolist(), strict=True):
        known = sorted(label for label in map(labels.item, around) if label >= 0)
        labels[face] = known[-1] if known[-2:-1] == known[-1:] else known[0]


def _most_frequent(around: Labels) -> Labels:
    """Find the most frequent of up to three labels, (k, 3) with negatives for none, (k,).

    Two of three that are the same win; otherwise it is the smallest.
    """
    none = np.iinfo(np.int64).max
    low, middle, high = np.sort(np.where(around < 0, none, around), axis=1).T
    return np.asarray(np.where((middle == high) & (middle < none), middle, low))
