"""Times forwards of a network one by one, in turns, and gives way to whoever waits."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from statistics import median
from typing import TYPE_CHECKING

from backend.engines.probed_model import Arguments, ProbedModel, device_of, doubled
from backend.errors import DeviceLost
from backend.gpu.faults import Fault, classify
from backend.units import Clock

if TYPE_CHECKING:
    import torch

FEWEST_ROUNDS, MOST_ROUNDS = 3, 9

Run = Callable[[], object]

log = logging.getLogger(__name__)


class StoppedError(Exception):
    """Somebody waits, or time is over."""


class ForwardTimer:
    """Times forwards until it is told to stop.

    Parameters
    ----------
    stop : callable
        Asked before each forward; True raises StoppedError.
    """

    def __init__(self, clock: Clock, stop: Callable[[], bool]) -> None:
        self.clock = clock
        self._stop = stop

    def time(self, run: Run) -> float:
        """Return the seconds of one forward."""
        if self._stop():
            raise StoppedError
        started_s = self.clock.monotonic_s()
        run()
        _wait_for_device()
        return self.clock.monotonic_s() - started_s

    def try_once(self, run: Run) -> Fault | None:
        """Run to warm up; returns what went wrong, with nothing of the failed run kept."""
        try:
            self.time(run)
        except StoppedError:
            raise
        except Exception as error:  # noqa: BLE001  whatever it is, this way does not work
            fault, told = classify(error), str(error).partition("\n")[0]
        else:
            return None
        if fault is Fault.CONTEXT_LOST:
            raise DeviceLost(told)
        log.info("a way to run a network was not timed: %s", told)
        return fault

    def in_turns(self, ways: Mapping[str, Run], rounds: int) -> dict[str, float]:
        """Return the median seconds of each way."""
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(rounds):
            order = list(ways) if number % 2 == 0 else list(ways)[::-1]
            for name in order:
                taken[name].append(self.time(ways[name]))
        return {name: median(seconds) for name, seconds in taken.items()}


def rounds_within(left_s: float, round_s: float) -> int | None:
    """Return how many rounds there is time for; None if they are too few.

    >>> rounds_within(1.0, 0.25), rounds_within(1.0, 0.5), rounds_within(1.0, 0.0)
    (4, None, 9)
    """
    rounds = MOST_ROUNDS if round_s <= 0 else min(MOST_ROUNDS, int(left_s / round_s))
    return rounds if rounds >= FEWEST_ROUNDS else None


def forward(
    model: ProbedModel,
    example: Arguments,
    dtype: torch.dtype | None,
    *,
    double: bool = False,
    run: Callable[..., object] | None = None,
) -> Run:
    """Return one forward, without gradients, whose result is dropped."""
    called = run or model.module

    def once() -> None:
        with computing(model, example, dtype):
            args, kwargs = doubled(example) if double else example
            called(*args, **kwargs)

    return once


@contextlib.contextmanager
def computing(model: ProbedModel, example: Arguments, dtype: torch.dtype | None) -> Iterator[None]:
    """Compute without gradients inside the block, cast to a type if one is given."""
    import torch

    kind = device_of(model, example).type
    with torch.inference_mode(), contextlib.ExitStack() as stack:
        if dtype is not None:
            stack.enter_context(torch.autocast(kind, dtype))
        yield


def _wait_for_device() -> None:
    import torch

    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
