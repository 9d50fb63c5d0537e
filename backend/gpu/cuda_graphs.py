"""Recorded CUDA graphs per model and bucket, forgotten before the model's weights move.

A graph replays kernels with the addresses of its recording. Replayed after the weights were
offloaded it would read memory that belongs to somebody else, so ``drop`` has to be called first;
the residency manager does so through ``ModelSpec.before_offload``.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from backend.gpu.faults import Fault, classify

if TYPE_CHECKING:
    from torch import Tensor

    Function = Callable[..., Any]

WARM_UPS = 3
MOST_GRAPHS = 8
REASON_LENGTH = 200

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CapturedGraph:
    """A recording.

    Parameters
    ----------
    inputs : tuple of Tensor
        Static buffers that a replay reads.
    outputs : Tensor, or a tuple, list or dict with tensors in it
        Static buffers that a replay writes.
    replay : callable
        Queues the recorded work.
    release : callable
        Waits for replays that are queued and frees the recording.
    """

    inputs: tuple[Tensor, ...]
    outputs: Any
    replay: Callable[[], None]
    release: Callable[[], None]


@dataclass
class _Recordings:
    """The graphs of one model; ``generation`` counts how often they were dropped."""

    lock: threading.RLock = field(default_factory=threading.RLock)
    graphs: OrderedDict[Hashable, CapturedGraph] = field(default_factory=OrderedDict)
    refused: dict[Hashable, str] = field(default_factory=dict)
    generation: int = 0


class GraphCache:
    """Runs functions by replaying their recording where that is allowed.

    Parameters
    ----------
    capture : callable
        Takes a function and example inputs, returns a CapturedGraph; ``capture_on_cuda``.
    most_graphs : int
        Graphs kept per model; the one unused for longest goes first. Each holds the memory of
        its intermediate results.

    Attributes
    ----------
    captures, replays, eager_runs : int
    """

    def __init__(
        self,
        capture: Callable[[Function, tuple[Tensor, ...]], CapturedGraph],
        most_graphs: int = MOST_GRAPHS,
    ) -> None:
        self._capture = capture
        self._most = most_graphs
        self._lock = threading.Lock()
        self._models: dict[str, _Recordings] = {}
        self.captures = 0
        self.replays = 0
        self.eager_runs = 0

    def run(
        self,
        model: str,
        bucket: Hashable,
        function: Function,
        inputs: tuple[Tensor, ...],
        *,
        resident: bool,
    ) -> Any:
        """Run a function of tensors, by replay once it has been recorded.

        Parameters
        ----------
        bucket : hashable
            Names the function and the size of its inputs. Whatever else the function reads,
            numbers included, is frozen in the recording.
        inputs : tuple of Tensor
            Their values are copied into the static buffers; other shapes, dtypes or devices
            are recorded anew.
        resident : bool
            The model stays on the device; False runs the function as it is.

        Returns
        -------
        object
            What the function returns, in memory of its own.
        """
        if not resident:
            return self._run_eagerly(function, inputs)
        mine = self._recordings(model)
        key = (bucket, *((tuple(x.shape), x.dtype, x.device) for x in inputs))
        with mine.lock:
            graph = mine.graphs.get(key) or self._record(mine, key, function, inputs)
            if graph is None:
                return self._run_eagerly(function, inputs)
            mine.graphs.move_to_end(key)
            return self._replay(graph, inputs)

    def drop(self, model: str) -> None:
        """Forget the recordings of a model; waits until a run of it has been queued."""
        mine = self._recordings(model)
        with mine.lock:
            graphs = [*mine.graphs.values()]
            mine.graphs.clear()
            mine.refused.clear()
            mine.generation += 1
        for graph in graphs:
            graph.release()

    def state(self) -> dict[str, Any]:
        """Return counts, and per model what is recorded and what could not be."""
        with self._lock:
            models = dict(self._models)
            counts = {
                "captures": self.captures, "replays": self.replays, "eager_runs": self.eager_runs,
            }  # fmt: skip
        shown = {
            name: {"graphs": len(mine.graphs), "refused": sorted(set(mine.refused.values()))}
            for name, mine in models.items()
        }
        return counts | {"models": shown}

    def _recordings(self, model: str) -> _Recordings:
        with self._lock:
            return self._models.setdefault(model, _Recordings())

    def _record(
        self, mine: _Recordings, key: Hashable, function: Function, inputs: tuple[Tensor, ...]
    ) -> CapturedGraph | None:
        """Record a function; None when that is not possible, and then not tried again."""
        if key in mine.refused:
            return None
        generation = mine.generation
        try:
            graph = self._capture(function, inputs)
        except RuntimeError as error:
            if classify(error) is not Fault.OTHER:
                raise
            reason = str(error).strip().partition("\n")[0][:REASON_LENGTH]
            log.warning("not recorded as a CUDA graph: %s", reason)
            mine.refused[key] = reason
            return None
        with self._lock:
            self.captures += 1
        if mine.generation != generation:  # dropped meanwhile: it holds addresses of the past
            graph.release()
            return None
        mine.graphs[key] = graph
        if len(mine.graphs) > self._most:
            mine.graphs.popitem(last=False)[1].release()
        return graph

    def _replay(self, graph: CapturedGraph, inputs: tuple[Tensor, ...]) -> Any:
        for static, given in zip(graph.inputs, inputs, strict=True):
            static.copy_(given)
        graph.replay()
        with self._lock:
            self.replays += 1
        return _copy(graph.outputs)

    def _run_eagerly(self, function: Function, inputs: tuple[Tensor, ...]) -> Any:
        with self._lock:
            self.eager_runs += 1
        return function(*inputs)


def capture_on_cuda(function: Function, inputs: tuple[Tensor, ...]) -> CapturedGraph:
    """Record a function on the current CUDA device.

    It is run a few times on a side stream first, so that libraries have made their workspaces
    and choices before the recording, in which nothing may be allocated outside of its pool.
    """
    import torch

    # tensors of inference mode could not be written to outside of it
    with torch.inference_mode(mode=False), torch.no_grad():
        static = tuple(each.detach().clone() for each in inputs)
    device = torch.cuda.current_device()
    side = torch.cuda.Stream(device)
    side.wait_stream(torch.cuda.current_stream(device))
    graph = torch.cuda.CUDAGraph()
    with _no_cached_casts():
        with torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                function(*static)
        torch.cuda.current_stream(device).wait_stream(side)
        # other threads may use the driver meanwhile: telemetry, transfers
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            outputs = function(*static)

    def release() -> None:
        torch.cuda.synchronize(device)
        graph.reset()

    return CapturedGraph(static, outputs, graph.replay, release)


@contextlib.contextmanager
def _no_cached_casts() -> Iterator[None]:
    """Keep autocast from reusing weights cast earlier: it frees them when it ends."""
    import torch

    before = torch.is_autocast_cache_enabled()
    torch.clear_autocast_cache()
    torch.set_autocast_cache_enabled(False)
    try:
        yield
    finally:
        torch.set_autocast_cache_enabled(before)


def _copy(outputs: Any) -> Any:
    """Copy the tensors of a result, since the next replay writes over them."""
    import torch

    return torch.utils._pytree.tree_map_only(torch.Tensor, torch.clone, outputs)
