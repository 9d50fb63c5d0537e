"""Runs a batch whatever happens: short memory halves it, a bad item is run by itself."""

from __future__ import annotations

import gc
import logging
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from backend.engines.engine import FailedItem
from backend.errors import DeviceLost, InternalError, JobCanceled, OutOfMemory
from backend.gpu.faults import Fault, classify

Run = Callable[[Sequence[Any]], Sequence[Any]]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What became of one item.

    Parameters
    ----------
    result : object
        None if it failed.
    error : Exception or None
        Why it failed.
    batch_size : int
        Items of the call that made it.
    """

    result: Any = None
    error: Exception | None = None
    batch_size: int = 1

    def unwrap(self) -> Any:
        """Return the result; raises the item's own error."""
        if self.error is not None:
            raise self.error
        return self.result


def run_items(run: Run, items: Sequence[Any], free: Callable[[], object]) -> list[Outcome]:
    """Run items together; one that fails takes no other with it.

    When memory runs out the halves are run one after the other; one item alone that runs out
    fails as out of memory. After any other error every item is run alone, so that only the
    guilty one fails.

    Parameters
    ----------
    run : callable
        Takes items, returns one result for each in order, or a ``FailedItem``.
    free : callable
        Gives memory back; called outside of the ``except`` block, when the failed frames and
        what they held are gone.

    Returns
    -------
    list of Outcome
        One per item, in order.

    Raises
    ------
    DeviceLost
        The context is gone; no item can run in this process.
    JobCanceled
        Nobody wants the results any more.
    """
    error: Exception | None = None
    try:
        results = run(items)
        if len(results) == len(items):
            return [_outcome(result, len(items)) for result in results]
        error = InternalError(f"{len(results)} results came of {len(items)} items.")
        fault = Fault.OTHER
    except (JobCanceled, DeviceLost):
        raise
    except Exception as caught:
        fault = classify(caught)
        if fault is Fault.CONTEXT_LOST:
            raise DeviceLost(str(caught).partition("\n")[0]) from caught
        if fault is Fault.OTHER:
            error = caught
        if error is None or len(items) > 1:
            # As text: whoever keeps the record must not keep the frames.
            why = str(caught).partition("\n")[0]
            log.warning("a call for %d items failed (%s): %s", len(items), fault.value, why)
    if fault is Fault.OUT_OF_MEMORY:
        gc.collect()
        free()
    if len(items) == 1:
        if error is not None:
            _drop_locals(error)
        return [Outcome(error=error or OutOfMemory())]
    error = None  # its frames hold the batch
    parts = _halves(items) if fault is Fault.OUT_OF_MEMORY else [[item] for item in items]
    return [outcome for part in parts for outcome in run_items(run, part, free)]


def _outcome(result: Any, batch_size: int) -> Outcome:
    if isinstance(result, FailedItem):
        return Outcome(error=result.error, batch_size=batch_size)
    return Outcome(result, batch_size=batch_size)


def _drop_locals(error: BaseException) -> None:
    """Let go of what the failed frames held: the error is kept while other items run."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        traceback.clear_frames(one.__traceback__)
        one = one.__cause__ or one.__context__


def _halves(items: Sequence[Any]) -> list[Sequence[Any]]:
    middle = (len(items) + 1) // 2
    return [items[:middle], items[middle:]]
