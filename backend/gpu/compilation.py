"""A model behind ``torch.compile`` that goes back to plain torch when compiling fails.

Guards are tied to parameter objects, not to their addresses: weights that are pointed elsewhere
through ``param.data`` compile nothing anew. A recorded CUDA graph does hold addresses, hence
``reduce-overhead`` is for models that stay on the device.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from backend.gpu.faults import Fault, classify
from backend.units import Clock

if TYPE_CHECKING:
    from torch import nn

    Backend = Callable[..., Any]

INDUCTOR = "inductor"
GRAPH_MODE = "reduce-overhead"
GRAPH_WARM_UPS = 3  # one call to warm up, one to record, one that replays
REASON_LENGTH = 300

log = logging.getLogger(__name__)


class CompiledModel:
    """A module that runs compiled where that works.

    Parameters
    ----------
    module : nn.Module
        Shares its weights with the compiled form.
    resident : bool
        It stays on the device, so recorded CUDA graphs stay valid.
    enabled : bool
        False runs the module as it is.
    clock : Clock
        Times the warm-up.
    backend : str or callable
        A backend of torch.compile.

    Attributes
    ----------
    graph_breaks : int
        Places where compiled code falls back to Python, seen so far. Torch counts them for the
        process; those of another model that compiles at the same moment are counted too.
    recompiles : int
        Graphs compiled after the first call had succeeded.
    reason : str or None
        Why it runs plain torch.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        resident: bool,
        enabled: bool,
        clock: Clock,
        backend: str | Backend = INDUCTOR,
    ) -> None:
        self._module = module
        self._resident = resident
        self._clock = clock
        self._backend = backend
        self._lock = threading.Lock()
        self._compiled: Callable[..., Any] | None = None
        self._settled = False
        self._graphs = 0
        self.graph_breaks = 0
        self.recompiles = 0
        self.warm_up_s: float | None = None
        self.reason = None if enabled else "switched off"

    @property
    def mode(self) -> str | None:
        """How it is compiled; None while it runs plain torch."""
        if self.reason is not None:
            return None
        return GRAPH_MODE if self._records_graphs else "default"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the model.

        What the module itself raises is raised, and so is a lack of memory or a lost context;
        only a failure that plain torch does not share is put down to compiling.
        """
        if self.reason is not None:
            return self._module(*args, **kwargs)
        try:
            return self._run_compiled(args, kwargs)
        except Exception as error:
            if classify(error) is not Fault.OTHER:
                raise
            failure = _summary(error)
        result = self._module(*args, **kwargs)
        self._give_up(failure)
        return result

    def warm_up(self, *example: Any, **named: Any) -> float:
        """Compile for inputs like these; returns the seconds it took.

        The caller names it as a stage of its own, so that no job's first step hides it.
        """
        started_s = self._clock.monotonic_s()
        for _ in range(GRAPH_WARM_UPS if self.mode == GRAPH_MODE else 1):
            self(*example, **named)
        _wait_for_device()
        self.warm_up_s = self._clock.monotonic_s() - started_s
        return self.warm_up_s

    def drop_graphs(self) -> None:
        """Forget recorded CUDA graphs before the weights move; see ``ModelSpec.before_offload``.

        The next call compiles and records anew. Code without graphs is kept.
        """
        if self.mode != GRAPH_MODE:
            return
        _wait_for_device()
        with self._lock:
            self._compiled, self._settled = None, False

    def state(self) -> dict[str, Any]:
        """Return what the status page shows."""
        with self._lock:
            return {
                "compiled": self._compiled is not None and self.reason is None,
                "mode": self.mode,
                "backend": self._backend if isinstance(self._backend, str) else "custom",
                "graphs": self._graphs,
                "graph_breaks": self.graph_breaks,
                "recompiles": self.recompiles,
                "warm_up_s": self.warm_up_s,
                "reason": self.reason,
            }

    @property
    def _records_graphs(self) -> bool:
        return self._resident and self._backend == INDUCTOR

    def _run_compiled(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        compiled = self._ready()
        with self._counted_breaks():
            if not self._records_graphs:
                result = compiled(*args, **kwargs)
            else:
                result = _run_recorded(compiled, args, kwargs)
        self._settled = True
        return result

    def _ready(self) -> Callable[..., Any]:
        with self._lock:
            if self._compiled is None:
                import torch

                backend = self._counting(_resolve(self))
                self._compiled = torch.compile(_entry_of(self._module), backend=backend)
            return self._compiled

    def _counting(self, compile_graph: Backend) -> Backend:
        """Wrap a backend so that each graph it compiles is counted."""

        def count(graph: Any, examples: Any) -> Any:
            runnable = compile_graph(graph, examples)
            with self._lock:
                self._graphs += 1
                self.recompiles += self._settled
            return runnable

        return count

    @contextlib.contextmanager
    def _counted_breaks(self) -> Iterator[None]:
        before = _graph_breaks()
        try:
            yield
        finally:
            with self._lock:
                self.graph_breaks += max(0, _graph_breaks() - before)

    def _give_up(self, failure: str) -> None:
        with self._lock:
            self.reason = f"compiling failed: {failure}"[:REASON_LENGTH]
            self._compiled = None
        log.warning("%s runs without torch.compile: %s", type(self._module).__name__, failure)


def _resolve(model: CompiledModel) -> Backend:
    """Return the backend as a function of a graph and its example inputs."""
    backend = model._backend
    if not isinstance(backend, str):
        return backend
    import torch

    found: Backend = torch._dynamo.lookup_backend(backend)
    if not model._records_graphs:
        return found
    options = torch._inductor.list_mode_options(GRAPH_MODE)
    return lambda graph, examples: found(graph, examples, config_patches=options)


def _entry_of(module: nn.Module) -> Callable[..., Any]:
    """Return a function that calls the module and has a code object of its own.

    Torch keeps what it compiled with the code object, and after a few entries gives up on it
    without a word; modules of one class would share the limit.
    """

    def forward(*args: Any, **kwargs: Any) -> Any:
        return module(*args, **kwargs)

    forward.__code__ = forward.__code__.replace()
    return forward


def _run_recorded(
    compiled: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Run recorded graphs; the result is copied, since the next run writes over it."""
    import torch

    torch.compiler.cudagraph_mark_step_begin()
    result = compiled(*args, **kwargs)
    return torch.utils._pytree.tree_map_only(torch.Tensor, torch.clone, result)


def _summary(error: Exception) -> str:
    """Return two lines of an error: torch names the compiler in the first, its error after it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join([f"{type(error).__name__}:", *lines[:2]])


def _graph_breaks() -> int:
    """Return how many graph breaks torch has counted in this process."""
    import torch

    return sum(torch._dynamo.utils.counters["graph_break"].values())


def _wait_for_device() -> None:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.synchronize()
