"""What other ways of running a network would cost, timed on the network itself.

Nothing is guessed: the forward that a job made is made again as it was, with twice the batch, in
bf16, and, if asked for, compiled. The ways take turns, so that what drifts hits all alike, and
medians are told. Arguments are made up (``HostedModel.example``), results are thrown away.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Any

from backend.engines.probed_model import (
    Arguments,
    ProbedModel,
    batch_of,
    device_of,
    doubled,
    is_at_hand,
    own_random_numbers,
)
from backend.errors import DeviceLost
from backend.gpu.cache_clearing import CacheClearer
from backend.gpu.compilation import INDUCTOR, CompiledModel
from backend.gpu.faults import Fault, classify
from backend.units import Clock

if TYPE_CHECKING:
    import torch

LIMIT_S = 2.0
FEWEST_ROUNDS, MOST_ROUNDS = 3, 9
# Of a forward as it is: itself, twice the batch, and bf16, which is rarely slower.
FORWARDS_PER_ROUND = 4.0
# One more of each to warm up, and two to find out how long a forward takes.
FORWARDS_BEFORE = 5.0

Run = Callable[[], object]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelTimes:
    """Medians of one forward, in seconds; what was not measured is None.

    Parameters
    ----------
    single_s, double_s : float or None
        Plain, with the batch that the job had and with twice that.
    fits : bool or None
        Whether twice the batch fits into memory.
    bf16_factor : float or None
        How much faster it is in bf16; None where it computes in 16 bits already.
    eager_s, compiled_s : float or None
        Plain and compiled, in turns with each other.
    compile_s : float or None
        What compiling took, once.
    """

    model: str
    single_s: float
    double_s: float | None = None
    fits: bool | None = None
    bf16_factor: float | None = None
    eager_s: float | None = None
    compiled_s: float | None = None
    compile_s: float | None = None

    def to_document(self) -> dict[str, Any]:
        """Write it as what JSON can hold."""
        return asdict(self)


class _StoppedError(Exception):
    """Somebody waits, or time is over."""


def time_models(
    models: Sequence[ProbedModel],
    clock: Clock,
    stop: Callable[[], bool],
    *,
    limit_s: float = LIMIT_S,
    compiles: bool = False,
    backend: str | Callable[..., Any] = INDUCTOR,
) -> dict[str, ModelTimes]:
    """Time networks one after the other, each with its share of the time that is left.

    Parameters
    ----------
    models : sequence of ProbedModel
        Those without a stage or an example, in training, or not where their arguments are, are
        left out, and so is one whose forwards take too long for three rounds.
    stop : callable
        Asked before each forward; True ends it.
    limit_s : float
        For everything but compiling.
    compiles : bool
        Whether to compile as well; that has no limit of its own, since it cannot be interrupted.
    backend : str or callable
        A backend of torch.compile.

    Returns
    -------
    dict
        Stage to times, only of networks whose measurement was finished; of two in one stage those
        of the slower one.

    Raises
    ------
    DeviceLost
        The context of the device is gone.
    """
    found: dict[str, tuple[ProbedModel, ModelTimes]] = {}
    with contextlib.suppress(_StoppedError), _untouched(clock):
        _time_plain(models, _Timer(clock, stop), limit_s, found)
        if compiles:
            for stage, (model, times) in tuple(found.items()):
                compiled = _with_compiled(model, times, _Timer(clock, stop), backend)
                found[stage] = model, compiled
    return {stage: times for stage, (_, times) in found.items()}


def _time_plain(
    models: Sequence[ProbedModel],
    timer: _Timer,
    limit_s: float,
    found: dict[str, tuple[ProbedModel, ModelTimes]],
) -> None:
    """Time everything but compiling, and note each network as soon as it is done."""
    deadline_s = timer.clock.monotonic_s() + limit_s
    usable = [model for model in models if model.stage is not None and is_at_hand(model)]
    for number, model in enumerate(usable):
        left_s = deadline_s - timer.clock.monotonic_s()
        times = _times_of(model, timer, max(0.0, left_s) / (len(usable) - number))
        stage = str(model.stage)
        if times is not None and (stage not in found or found[stage][1].single_s < times.single_s):
            found[stage] = model, times


class _Timer:
    """Times forwards until it is told to stop."""

    def __init__(self, clock: Clock, stop: Callable[[], bool]) -> None:
        self.clock = clock
        self._stop = stop

    def time(self, run: Run) -> float:
        """Return the seconds of one forward."""
        if self._stop():
            raise _StoppedError
        started_s = self.clock.monotonic_s()
        run()
        _wait_for_device()
        return self.clock.monotonic_s() - started_s

    def try_once(self, run: Run) -> Fault | None:
        """Run to warm up; returns what went wrong, with nothing of the failed run kept."""
        try:
            self.time(run)
        except _StoppedError:
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


def _times_of(model: ProbedModel, timer: _Timer, share_s: float) -> ModelTimes | None:
    """Time one network in its share of the time; None if that is too short for three rounds."""
    deadline_s = timer.clock.monotonic_s() + share_s
    example = model.example()
    if example is None:
        return None
    single = _forward(model, example, model.autocast_dtype)
    if timer.try_once(single) is not None:
        return None
    forward_s = timer.time(single)
    left_s = deadline_s - timer.clock.monotonic_s() - FORWARDS_BEFORE * forward_s
    rounds = _rounds(left_s, FORWARDS_PER_ROUND * forward_s)
    if rounds is None:
        log.info("%s is too slow to be timed: %.2f s a forward", model.name, forward_s)
        return None
    ways = {"single": single}
    fits = _add_doubled(ways, model, example, timer)
    half = _half_precision(model, example)
    if half is not None and timer.try_once(half) is None:
        ways["half"] = half
    middle_s = timer.in_turns(ways, rounds)
    half_s = middle_s.get("half")
    return ModelTimes(
        model.name,
        middle_s["single"],
        middle_s.get("double"),
        fits,
        middle_s["single"] / half_s if half_s else None,
    )


def _add_doubled(
    ways: dict[str, Run], model: ProbedModel, example: Arguments, timer: _Timer
) -> bool | None:
    """Add the doubled batch if it works; returns whether it fits, None if that is not known."""
    if batch_of(example) is None:
        return None
    # Made within the call: their memory counts, and goes when it fails.
    double = _forward(model, example, model.autocast_dtype, double=True)
    fault = timer.try_once(double)
    if fault is None:
        ways["double"] = double
        return True
    return False if fault is Fault.OUT_OF_MEMORY else None


def _with_compiled(
    model: ProbedModel, times: ModelTimes, timer: _Timer, backend: str | Callable[..., Any]
) -> ModelTimes:
    """Compile the network and time it beside the plain one; as it was if that does not work."""
    example = model.example()
    if example is None:
        return times
    args, kwargs = example
    compiled = CompiledModel(
        model.module, resident=False, enabled=True, clock=timer.clock, backend=backend
    )
    plain = _forward(model, example, model.autocast_dtype)
    with _computing(model, example, model.autocast_dtype):
        if timer.try_once(lambda: compiled.warm_up(*args, **kwargs)) is not None:
            return times
    if compiled.reason is not None:
        return times
    rounds = _rounds(LIMIT_S, 2 * times.single_s) or FEWEST_ROUNDS
    fast = _forward(model, example, model.autocast_dtype, run=compiled)
    middle_s = timer.in_turns({"plain": plain, "compiled": fast}, rounds)
    return replace(
        times,
        eager_s=middle_s["plain"],
        compiled_s=middle_s["compiled"],
        compile_s=compiled.warm_up_s,
    )


def _rounds(left_s: float, round_s: float) -> int | None:
    """Return how many rounds there is time for; None if they are too few."""
    rounds = MOST_ROUNDS if round_s <= 0 else min(MOST_ROUNDS, int(left_s / round_s))
    return rounds if rounds >= FEWEST_ROUNDS else None


def _forward(
    model: ProbedModel,
    example: Arguments,
    dtype: torch.dtype | None,
    *,
    double: bool = False,
    run: Callable[..., object] | None = None,
) -> Run:
    """Return one forward, without gradients, whose result is dropped."""
    called = run or model.module

    def forward() -> None:
        with _computing(model, example, dtype):
            args, kwargs = doubled(example) if double else example
            called(*args, **kwargs)

    return forward


@contextlib.contextmanager
def _computing(model: ProbedModel, example: Arguments, dtype: torch.dtype | None) -> Iterator[None]:
    import torch

    kind = device_of(model, example).type
    with torch.inference_mode(), contextlib.ExitStack() as stack:
        if dtype is not None:
            stack.enter_context(torch.autocast(kind, dtype))
        yield


def _half_precision(model: ProbedModel, example: Arguments) -> Run | None:
    """Return a forward in bf16; None where nothing is computed in 32 bits, or bf16 is emulated."""
    import torch

    kinds = {one.dtype for one in model.module.parameters() if one.dtype.is_floating_point}
    if model.autocast_dtype is not None or torch.float32 not in kinds:
        return None
    on_card = device_of(model, example).type == "cuda"
    if on_card and not torch.cuda.is_bf16_supported(including_emulation=False):
        return None
    return _forward(model, example, torch.bfloat16)


@contextlib.contextmanager
def _untouched(clock: Clock) -> Iterator[None]:
    """Leave random numbers as they were, and give unused memory of a GPU back."""
    try:
        with own_random_numbers():
            yield
    finally:
        CacheClearer(clock).clear()


def _wait_for_device() -> None:
    import torch

    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
