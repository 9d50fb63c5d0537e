"""What other ways of running a network would cost, timed on the network itself.

Nothing is guessed: the forward that a job made is made again as it was, with twice the batch, in
bf16, and, if asked for, compiled. The ways take turns, so that what drifts hits all alike, and
medians are told. Arguments are made up (``HostedModel.example``), results are thrown away.

Whoever waits is asked for before each forward, and compiling is left to a process of its own that
can be ended at any moment: no job waits for more than one forward.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from backend.engines.compile_trial import CompiledTimes
from backend.engines.forward_timing import (
    FEWEST_ROUNDS,
    ForwardTimer,
    Run,
    StoppedError,
    forward,
    rounds_within,
)
from backend.engines.probed_model import (
    Arguments,
    ProbedModel,
    batch_of,
    device_of,
    is_at_hand,
    own_random_numbers,
)
from backend.gpu.cache_clearing import CacheClearer
from backend.gpu.faults import Fault
from backend.units import Clock

if TYPE_CHECKING:
    import torch

Compile = Callable[[ProbedModel], CompiledTimes | None]

LIMIT_S = 2.0
# Of a forward as it is: itself, twice the batch, and bf16, which is rarely slower.
FORWARDS_PER_ROUND = 4.0
# One more of each to warm up, and two to find out how long a forward takes.
FORWARDS_BEFORE = 5.0
# A job that comes waits for one forward, or for one of twice the batch.
LONGEST_FORWARD_S = 1.0

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


def time_models(
    models: Sequence[ProbedModel],
    clock: Clock,
    stop: Callable[[], bool],
    *,
    limit_s: float = LIMIT_S,
    around: contextlib.AbstractContextManager[object] | None = None,
    compiled: Compile | None = None,
) -> dict[str, ModelTimes]:
    """Time networks one after the other, each with its share of the time that is left.

    Parameters
    ----------
    models : sequence of ProbedModel
        Those without a stage or an example, in training, or not where their arguments are, are
        left out, and so is one whose forward takes more than a second.
    stop : callable
        Asked before each forward; True ends it.
    limit_s : float
        For everything but compiling; a network too slow for three rounds in its share of it gets
        three rounds all the same.
    around : context manager, optional
        Entered while the networks themselves run.
    compiled : callable, optional
        Times a network compiled as well, without keeping anybody waiting; it has no limit of its
        own. See ``compile_trial.compiled_times``.

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
    own = around or contextlib.nullcontext()
    with contextlib.suppress(StoppedError), own, _untouched(clock):
        _time_plain(models, ForwardTimer(clock, stop), limit_s, found)
    with own_random_numbers():
        for stage, (model, times) in tuple(found.items()):
            figures = compiled(model) if compiled is not None and not stop() else None
            if figures is not None:
                found[stage] = model, replace(times, **asdict(figures))
    return {stage: times for stage, (_, times) in found.items()}


def _time_plain(
    models: Sequence[ProbedModel],
    timer: ForwardTimer,
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


def _times_of(model: ProbedModel, timer: ForwardTimer, share_s: float) -> ModelTimes | None:
    """Time one network in its share of the time, or in three rounds; None if it is too slow."""
    deadline_s = timer.clock.monotonic_s() + share_s
    example = model.example()
    if example is None:
        return None
    single = forward(model, example, model.autocast_dtype)
    if timer.try_once(single) is not None:
        return None
    forward_s = timer.time(single)
    if forward_s > LONGEST_FORWARD_S:
        log.info("%s is too slow to be timed: %.2f s a forward", model.name, forward_s)
        return None
    left_s = deadline_s - timer.clock.monotonic_s() - FORWARDS_BEFORE * forward_s
    rounds = rounds_within(left_s, FORWARDS_PER_ROUND * forward_s) or FEWEST_ROUNDS
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
    ways: dict[str, Run], model: ProbedModel, example: Arguments, timer: ForwardTimer
) -> bool | None:
    """Add the doubled batch if it works; returns whether it fits, None if that is not known."""
    if batch_of(example) is None:
        return None
    # Made within the call: their memory counts, and goes when it fails.
    double = forward(model, example, model.autocast_dtype, double=True)
    fault = timer.try_once(double)
    if fault is None:
        ways["double"] = double
        return True
    return False if fault is Fault.OUT_OF_MEMORY else None


def _half_precision(model: ProbedModel, example: Arguments) -> Run | None:
    """Return a forward in bf16; None where nothing is computed in 32 bits, or bf16 is no gain."""
    import torch

    kinds = {one.dtype for one in model.module.parameters() if one.dtype.is_floating_point}
    if model.autocast_dtype is not None or torch.float32 not in kinds:
        return None
    if not _computes_bf16(device_of(model, example)):
        return None
    return forward(model, example, torch.bfloat16)


def _computes_bf16(device: torch.device) -> bool:
    """Whether bf16 is worth a try: a processor may emulate it, many times slower, and a job wait.

    No advice speaks of types on a processor.
    """
    import torch

    return device.type == "cuda" and bool(torch.cuda.is_bf16_supported(including_emulation=False))


@contextlib.contextmanager
def _untouched(clock: Clock) -> Iterator[None]:
    """Leave random numbers as they were, and give unused memory of a GPU back."""
    try:
        with own_random_numbers():
            yield
    finally:
        CacheClearer(clock).clear()
