"""A network run by an engine: by the settings in force, counted, and known to the process."""

from __future__ import annotations

import contextlib
import itertools
import threading
import weakref
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backend.engines.counted_module import CountedModule, autocast_dtype
from backend.gpu.compilation import CompiledModel
from backend.profiling.recorder import current_trace, innermost_span, profile_stage
from backend.profiling.spans import Span, SpanKind
from backend.profiling.stage_facts import FactName, note_fact
from backend.runtime_settings import SettingName, value_of
from backend.units import Clock

if TYPE_CHECKING:
    import torch
    from torch import nn

WARM_UP_STAGE = "warm_up"
MOST_KINDS_OF_CALL = 64

_lock = threading.Lock()
_serials = itertools.count()
_hosted: weakref.WeakValueDictionary[int, HostedModel] = weakref.WeakValueDictionary()


@dataclass
class _InSpan:
    """What was compiled anew in one run of a stage."""

    span: Span | None = None
    recompiles: int = 0
    recompile_s: float = 0.0


class HostedModel:
    """A network as an engine calls it.

    Each call runs it plain or compiled, as ``compile_models`` says, and notes on the stage at
    hand what it computed and how it was compiled. A compiled call with shapes or attention that
    are new runs in a stage of its own, ``warm_up``, since it may have to compile.

    Parameters
    ----------
    name : str
        For people, unlike that of any other network of the engine.
    module : torch.nn.Module
        Its ``ChosenAttention`` layers follow the settings too.
    clock : Clock
        Times what compiling takes.
    resident : bool
        It stays on the device, so that recorded CUDA graphs stay valid.
    backend : str or callable, optional
        A backend of torch.compile.

    Attributes
    ----------
    stage : str or None
        Path of the stages that it last ran in, such as ``shape_generation/denoise``; calls
        outside of recorded stages leave it as it was.
    autocast_dtype : torch.dtype or None
        What torch cast products to in the call that ``example`` is like.
    """

    def __init__(
        self,
        name: str,
        module: nn.Module,
        *,
        clock: Clock,
        resident: bool = False,
        backend: str | Callable[..., Any] | None = None,
    ) -> None:
        from backend.engines.chosen_attention import ChosenAttention

        self.name = name
        self.module = module
        self.stage: str | None = None
        self.autocast_dtype: torch.dtype | None = None
        self._clock = clock
        self._attentions = [one for one in module.modules() if isinstance(one, ChosenAttention)]
        options = {} if backend is None else {"backend": backend}
        self._compiled = CompiledModel(
            module, resident=resident, enabled=True, clock=clock, **options
        )
        self._run_plain = CountedModule(module)
        self._run_compiled = CountedModule(module, run=self._timed)
        self._known_calls: set[Hashable] = set()
        self._in_span = _InSpan()
        self._last_span: Span | None = None
        self._most_elements = 0
        self._example: tuple[tuple[Any, ...], dict[str, Any]] | None = None
        with _lock:
            _hosted[next(_serials)] = self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the network; what it raises is raised."""
        is_wanted = bool(value_of(SettingName.COMPILE_MODELS))
        for attention in self._attentions:
            attention.follow_settings()
        self._remember(args, kwargs)
        if not is_wanted or self._compiled.reason is not None:
            note_fact(FactName.COMPILED, self._compile_facts(is_on=False))
            return self._run_plain(*args, **kwargs)
        result = self._run_compiled(*args, **kwargs)
        note_fact(FactName.COMPILED, self._compile_facts(is_on=self._compiled.reason is None))
        return result

    def example(self) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        """Return arguments like those of the largest call in the last run of a recorded stage.

        Returns
        -------
        tuple or None
            Positional and named arguments; None before such a call. Tensors are new, with the
            shapes, types and devices they had: normal numbers, or zeros where they hold no
            floating-point numbers. All else is as it was.
        """
        import torch
        from torch.utils._pytree import tree_map_only

        if self._example is None:
            return None
        args, kwargs = tree_map_only(_Like, lambda like: like.make(torch), self._example)
        return args, kwargs

    def state(self) -> dict[str, Any]:
        """Return how it is compiled; see ``CompiledModel.state``."""
        return self._compiled.state()

    def drop_graphs(self) -> None:
        """Forget recorded CUDA graphs before the weights move; see ``CompiledModel``."""
        self._compiled.drop_graphs()

    def _timed(self, *args: Any, **kwargs: Any) -> Any:
        """Run compiled; a call that compiles anew adds its time to that of the stage."""
        kind = self._kind_of_call(args, kwargs)
        tally = self._tally()
        with contextlib.ExitStack() as around:
            if kind not in self._known_calls:
                stage = profile_stage(WARM_UP_STAGE, SpanKind.LOAD, {"model": self.name})
                around.enter_context(stage)
            if self._compiled.warm_up_s is None:
                self._compiled.warm_up(*args, **kwargs)
            before, started_s = self._compiled.recompiles, self._clock.monotonic_s()
            result = self._compiled(*args, **kwargs)
        again = self._compiled.recompiles - before
        if again:
            tally.recompiles += again
            tally.recompile_s += self._clock.monotonic_s() - started_s
        if len(self._known_calls) >= MOST_KINDS_OF_CALL:
            self._known_calls.clear()
        self._known_calls.add(kind)
        return result

    def _kind_of_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Hashable:
        """Name what compiled code may depend on; a few things that change seldom are left out."""
        tensors = _tensors((args, kwargs))
        shapes = tuple((one.shape, one.dtype, one.device.type) for one in tensors)
        return shapes, tuple(one.told for one in self._attentions)

    def _compile_facts(self, *, is_on: bool) -> dict[str, Any]:
        if not is_on:
            unknown = ("graph_breaks", "recompiles", "recompile_s", "compile_s")
            return {"is_on": False, **dict.fromkeys(unknown)}
        tally = self._tally()
        return {
            "is_on": True,
            "graph_breaks": self._compiled.graph_breaks,
            "recompiles": tally.recompiles,
            "recompile_s": tally.recompile_s,
            "compile_s": self._compiled.warm_up_s,
        }

    def _tally(self) -> _InSpan:
        """Return what was compiled anew in the stage at hand, or outside of any."""
        span = innermost_span()
        if self._in_span.span is not span:
            self._in_span = _InSpan(span)
        return self._in_span

    def _remember(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Keep the shapes and the place of the largest call of a stage that is on record."""
        span = innermost_span()
        if span is None:
            return
        elements = sum(tensor.numel() for tensor in _tensors((args, kwargs)))
        if span is not self._last_span:
            self._last_span, self.stage = span, _path(span)
        elif elements <= self._most_elements:
            return
        import torch
        from torch.utils._pytree import tree_map_only

        self._most_elements = elements
        self._example = tree_map_only(torch.Tensor, _Like.of, (args, kwargs))
        self.autocast_dtype = autocast_dtype((*args, *kwargs.values()))


def hosted_models() -> list[HostedModel]:
    """Return the networks that are hosted in this process, the oldest first."""
    with _lock:
        return [model for _, model in sorted(_hosted.items(), key=lambda item: item[0])]


@dataclass(frozen=True)
class _Like:
    """What a tensor was like."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device

    @classmethod
    def of(cls, tensor: torch.Tensor) -> _Like:
        return cls(tuple(tensor.shape), tensor.dtype, tensor.device)

    def make(self, torch: Any) -> Any:
        is_real = self.dtype.is_floating_point or self.dtype.is_complex
        make = torch.randn if is_real else torch.zeros
        return make(self.shape, dtype=self.dtype, device=self.device)


def _tensors(arguments: object) -> list[torch.Tensor]:
    import torch
    from torch.utils._pytree import tree_leaves

    return [leaf for leaf in tree_leaves(arguments) if isinstance(leaf, torch.Tensor)]


def _path(span: Span) -> str:
    """Names of the stages around a span and of itself, from the outside in."""
    trace = current_trace()
    spans = {one.id: one for one in tuple(trace.spans)} if trace else {}
    names = [span.name]
    while span.parent is not None and span.parent in spans:
        span = spans[span.parent]
        names.insert(0, span.name)
    return "/".join(names)
