"""Choosing an attention backend by a short measurement at the shape that will be used."""

from __future__ import annotations

import logging
import statistics
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from backend.errors import DeviceLost
from backend.gpu.attention import AttentionBackend, attend_with, unavailable_reason
from backend.gpu.faults import Fault, classify
from backend.gpu.precision import compare
from backend.gpu.shape_buckets import bucket_of
from backend.units import MB, Clock

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    Attend = Callable[[AttentionBackend, Tensor, Tensor, Tensor], Tensor]

WARM_UPS, ROUNDS = 2, 5
LONGEST_S = 2.0
CHECKED_ROWS = 256
TOLERANCES = {"float64": 1e-5, "float32": 1e-4, "float16": 5e-3, "bfloat16": 2e-2}
MOST_CHOICES = 256
# More is a risk to the machine, and slower in any case than to go through them piece by piece.
MOST_SCORES_MB = 1024

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AttentionShape:
    """Sizes of one attention; ``context_tokens`` counts keys and values."""

    batch: int
    heads: int
    tokens: int
    context_tokens: int
    head_dim: int


@dataclass(frozen=True)
class AttentionTrial:
    """What was found out about one backend.

    Parameters
    ----------
    median_s : float or None
        Time of one call; None when it was not measured.
    relative_error : float or None
        Largest difference from plain products in fp32, over their largest value.
    excluded : str or None
        Why it must not be used.
    """

    backend: AttentionBackend
    median_s: float | None = None
    relative_error: float | None = None
    excluded: str | None = None


@dataclass(frozen=True)
class AttentionChoice:
    """The backend to use, and the trials it was chosen by."""

    backend: AttentionBackend
    table: tuple[AttentionTrial, ...]


class ChoiceCache:
    """Choices of this process by shape bucket, dtype and kind of device; thread safe."""

    def __init__(self) -> None:
        self._choices: dict[tuple[Any, ...], AttentionChoice] = {}
        self._lock = threading.Lock()

    def get(self, key: tuple[Any, ...]) -> AttentionChoice | None:
        """Return a choice made before."""
        with self._lock:
            return self._choices.get(key)

    def keep(self, key: tuple[Any, ...], choice: AttentionChoice) -> None:
        """Keep a choice; the oldest goes when there are too many."""
        with self._lock:
            if len(self._choices) >= MOST_CHOICES:
                del self._choices[next(iter(self._choices))]
            self._choices[key] = choice


_choices = ChoiceCache()


def choose_attention(
    shape: AttentionShape,
    dtype: torch.dtype,
    device: torch.device | str,
    clock: Clock,
    *,
    attend: Attend = attend_with,
    backends: Sequence[AttentionBackend] | None = None,
    cache: ChoiceCache | None = None,
) -> AttentionChoice:
    """Return the fastest backend among those whose result is right.

    Parameters
    ----------
    clock : Clock
        Times the calls where there are no CUDA events.
    attend : callable
        Computes attention with a given backend; see ``attention.attend_with``.
    backends : sequence of AttentionBackend, optional
        Candidates; all that may be tried on the device unless named.
    cache : ChoiceCache, optional
        Where choices are kept; that of the process unless named.

    Returns
    -------
    AttentionChoice
        Plain products when nothing else passed.

    Raises
    ------
    DeviceLost
        A trial broke the context; the process has to end.
    """
    import torch

    place = torch.device(device)
    known = _choices if cache is None else cache
    key = (_bucket(shape), dtype, place.type, tuple(backends or ()))
    choice = known.get(key)
    if choice is None:
        with torch.inference_mode():
            table = _try_all(_Bench(shape, dtype, place, clock, attend), backends)
        choice = AttentionChoice(_best(table), table)
        log.info("attention for %s in %s: %s", shape, dtype, choice.backend)
        known.keep(key, choice)
    return choice


class _Bench:
    """Inputs of one shape, the right answer for some of their rows, and a stopwatch."""

    def __init__(
        self,
        shape: AttentionShape,
        dtype: torch.dtype,
        device: torch.device,
        clock: Clock,
        attend: Attend,
    ) -> None:
        import torch

        self.device, self.clock, self._attend = device, clock, attend
        self._tolerance = TOLERANCES[str(dtype).rpartition(".")[2]]
        source = torch.Generator(device=device).manual_seed(0)
        lengths = (shape.tokens, shape.context_tokens, shape.context_tokens)
        self._inputs = [
            torch.randn(
                (shape.batch, shape.heads, length, shape.head_dim),
                generator=source, device=device, dtype=torch.float32,
            ).to(dtype)
            for length in lengths
        ]  # fmt: skip
        # rows of a result do not depend on each other, so a sample of them is enough
        rows = min(shape.tokens, CHECKED_ROWS)
        self._rows = torch.linspace(0, shape.tokens - 1, rows, device=device).long()
        q, k, v = (each.float() for each in self._inputs)
        self._right = attend_with(AttentionBackend.MATH, q[:, :, self._rows], k, v)

    @property
    def too_many_scores(self) -> str | None:
        """Say why plain products, which keep all scores, are not tried; None when they may be."""
        q, k = self._inputs[:2]
        scores_mb = q.shape[:3].numel() * k.shape[2] * q.element_size() / MB
        if scores_mb <= MOST_SCORES_MB:
            return None
        return f"its scores would take {scores_mb:.0f} MB"

    def check(self, backend: AttentionBackend) -> AttentionTrial:
        """Run a backend once and compare its result."""
        result = self._attend(backend, *self._inputs)
        if result.shape != self._inputs[0].shape:
            return AttentionTrial(backend, excluded=f"its result has the shape {result.shape}")
        difference = compare(self._right, result[:, :, self._rows])
        error = difference.relative
        if not difference.finite:
            return AttentionTrial(backend, None, None, "its result is not finite")
        if error > self._tolerance:
            reason = f"its result is off by {error:.2g}, allowed is {self._tolerance:g}"
            return AttentionTrial(backend, None, error, reason)
        return AttentionTrial(backend, None, error)

    def time_s(self, backend: AttentionBackend) -> float:
        """Time one call."""
        if self.device.type == "cuda":
            return self._time_by_events(backend)
        started_s = self.clock.monotonic_s()
        self._attend(backend, *self._inputs)
        return self.clock.monotonic_s() - started_s

    def _time_by_events(self, backend: AttentionBackend) -> float:
        import torch

        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        self._attend(backend, *self._inputs)
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) / 1000


def _try_all(
    bench: _Bench, backends: Sequence[AttentionBackend] | None
) -> tuple[AttentionTrial, ...]:
    named = tuple(AttentionBackend) if backends is None else backends
    trials = {}
    for backend in named:
        missing = unavailable_reason(backend, bench.device.type) if backends is None else None
        if backend is AttentionBackend.MATH:
            missing = missing or bench.too_many_scores
        trials[backend] = (
            AttentionTrial(backend, excluded=missing)
            if missing
            else _guarded(backend, partial(bench.check, backend))
        )
    _time_in_turns(bench, trials)
    return tuple(trials.values())


def _time_in_turns(bench: _Bench, trials: dict[AttentionBackend, AttentionTrial]) -> None:
    """Time the backends that passed, one call each per round, so that drift hits all alike."""
    times: dict[AttentionBackend, list[float]] = {}
    started_s = bench.clock.monotonic_s()
    for number in range(WARM_UPS + ROUNDS):
        for backend, trial in trials.items():
            if trial.excluded is not None:
                continue
            _time_once(bench, trials, times.setdefault(backend, []), backend)
        if number >= WARM_UPS and bench.clock.monotonic_s() - started_s > LONGEST_S:
            break
    for backend, trial in trials.items():
        measured = times.get(backend, [])[WARM_UPS:]
        if trial.excluded is None and measured:
            trials[backend] = replace(trial, median_s=statistics.median(measured))


def _time_once(
    bench: _Bench,
    trials: dict[AttentionBackend, AttentionTrial],
    times: list[float],
    backend: AttentionBackend,
) -> None:
    def run() -> AttentionTrial:
        times.append(bench.time_s(backend))
        return trials[backend]

    trials[backend] = _guarded(backend, run)


def _guarded(backend: AttentionBackend, run: Callable[[], AttentionTrial]) -> AttentionTrial:
    """Run a trial; a failure becomes its result, except for a lost context."""
    try:
        return run()
    except Exception as error:
        fault = classify(error)
        if fault is Fault.CONTEXT_LOST:
            raise DeviceLost(str(error).partition("\n")[0]) from error
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
    return AttentionTrial(
        backend, excluded="memory ran out" if fault is Fault.OUT_OF_MEMORY else reason
    )


def _best(table: Sequence[AttentionTrial]) -> AttentionBackend:
    timed = [(t.median_s, t.backend) for t in table if not t.excluded and t.median_s is not None]
    return min(timed, key=lambda each: each[0])[1] if timed else AttentionBackend.MATH


def _bucket(shape: AttentionShape) -> AttentionShape:
    return replace(
        shape,
        batch=bucket_of(shape.batch),
        tokens=bucket_of(shape.tokens),
        context_tokens=bucket_of(shape.context_tokens),
    )
