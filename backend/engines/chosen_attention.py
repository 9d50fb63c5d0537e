"""Attention as the settings say, which tells the profiler what it ran with. Imports torch."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from backend.errors import DeviceLost
from backend.gpu.attention import AUTO, Attention, AttentionBackend, attend_with
from backend.gpu.attention_choice import AttentionChoice, AttentionShape, choose_attention
from backend.profiling.recorder import innermost_span, profile_stage
from backend.profiling.spans import Span, SpanKind
from backend.profiling.stage_facts import FactName, note_fact
from backend.runtime_settings import SettingName, value_of
from backend.units import Clock

MEASURING_STAGE = "warm_up"
MOST_SPANS = 16

log = logging.getLogger(__name__)
_used = threading.local()
_attentions: dict[str, Attention] = {}
_choices: dict[object, AttentionChoice | None] = {}


class ChosenAttention(nn.Module):
    """One attention of a network; made by ``chosen_attention``.

    A module, so that whoever hosts the network finds it there and tells it of the settings before
    compiled code runs, which cannot look them up.

    Attributes
    ----------
    told : str
        What compiled code uses: the value of ``attention`` when it was last told.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self.told = AUTO
        _attention(AUTO)

    def follow_settings(self) -> None:
        """Let compiled code use what is in force now; another value compiles it anew."""
        self.told = str(value_of(SettingName.ATTENTION))
        _attention(self.told)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, scale: float | None = None) -> Tensor:
        """Compute attention; shapes and errors as those of ``backend.gpu.attention.Attention``."""
        if torch.compiler.is_compiling():
            return _attentions[self.told](q, k, v, scale=scale)
        if q.is_meta:  # somebody counts the work
            return nn.functional.scaled_dot_product_attention(q, k, v, scale=scale)
        wanted = str(value_of(SettingName.ATTENTION))
        is_watched = innermost_span() is not None
        choice = self._choice(q, k) if is_watched or wanted == AUTO else None
        name = choice.backend.value if choice and wanted == AUTO else wanted
        result = _attention(name)(q, k, v, scale=scale)
        if is_watched:
            _note(_used.backend, choice, (q.shape, k.shape))
        return result

    def _choice(self, q: Tensor, k: Tensor) -> AttentionChoice | None:
        """Measure once per bucket of shapes, as a stage of its own that no figure hides."""
        (batch, heads, tokens, head_dim), context_tokens = q.shape, k.shape[2]
        shape = AttentionShape(batch, heads, tokens, context_tokens, head_dim)
        key = (shape, q.dtype, q.device.type)
        if key not in _choices:
            with profile_stage(MEASURING_STAGE, SpanKind.LOAD, {"model": "attention"}):
                found = _measured(shape, q.dtype, q.device, self._clock)
            _choices[key] = found
        return _choices[key]


def chosen_attention(clock: Clock) -> ChosenAttention:
    """Return attention(q, k, v) by the value of ``attention`` in force at each call.

    Parameters
    ----------
    clock : Clock
        Times backends where there are no CUDA events.

    Returns
    -------
    ChosenAttention
        To be kept as a layer of the network that uses it. With ``auto`` it takes the fastest
        backend with a right result for the shape at hand, which is measured once per bucket of
        shapes and process; a backend by its name is used wherever it works.

    Notes
    -----
    The fact ``attention`` is noted on the stage at hand. It tells of the one shape in which the
    stage spends most of its attention: ``now_s`` and ``best_s`` are seconds per call as measured
    for the bucket of that shape, also when a backend was named. Compiled code notes nothing.

    Examples
    --------
    >>> from backend.units import SystemClock
    >>> q = torch.ones(1, 2, 8, 16)
    >>> chosen_attention(SystemClock())(q, q, q).shape
    torch.Size([1, 2, 8, 16])
    """
    return ChosenAttention(clock)


def _attention(name: str) -> Attention:
    """Return the one of the process; compiled code finds it by its name alone."""
    found = _attentions.get(name)
    if found is None:
        found = _attentions[name] = Attention(name, attend=_attend)
    return found


def _attend(
    backend: AttentionBackend, q: Tensor, k: Tensor, v: Tensor, scale: float | None = None
) -> Tensor:
    result = attend_with(backend, q, k, v, scale)
    _used.backend = backend
    return result


def _measured(
    shape: AttentionShape, dtype: torch.dtype, device: torch.device, clock: Clock
) -> AttentionChoice | None:
    """Return what is fastest; None if that cannot be measured here."""
    try:
        return choose_attention(shape, dtype, device, clock)
    except DeviceLost:
        raise
    except Exception as error:  # noqa: BLE001  attention itself may still work
        log.info("attention for %s in %s was not measured: %s", shape, dtype, error)
    return None


@dataclass
class _Tally:
    """Calls of one run of a stage by their shapes."""

    span: Span
    calls: dict[object, int] = field(default_factory=dict)
    most_s: float = -1.0


_tallies: OrderedDict[int, _Tally] = OrderedDict()
_lock = threading.Lock()


def _note(backend: AttentionBackend, choice: AttentionChoice | None, shapes: object) -> None:
    """Note the shape that costs the stage most so far."""
    span = innermost_span()
    if span is None:
        return
    times = {trial.backend: trial.median_s for trial in choice.table} if choice else {}
    now_s = times.get(backend)
    with _lock:
        tally = _tally_of(span)
        key = (backend, shapes)
        calls = tally.calls[key] = tally.calls.get(key, 0) + 1
        total_s = calls * (now_s or 0.0)
        if total_s < tally.most_s:
            return
        tally.most_s = total_s
    note_fact(
        FactName.ATTENTION,
        {
            "backend": backend.value,
            "best_backend": choice.backend.value if choice else None,
            "now_s": now_s,
            "best_s": times.get(choice.backend) if choice else None,
            "calls": calls,
        },
    )


def _tally_of(span: Span) -> _Tally:
    """Return the tally of a run of a stage; those of the last few are kept."""
    tally = _tallies.get(id(span))
    if tally is None or tally.span is not span:
        tally = _tallies[id(span)] = _Tally(span)
        if len(_tallies) > MOST_SPANS:
            _tallies.popitem(last=False)
    return tally
