"""A model that tells the profiler what each of its calls computes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from backend.gpu.flops import Work, count_work
from backend.profiling.recorder import innermost_span
from backend.profiling.work import note_work

if TYPE_CHECKING:
    import torch


class CountedModule:
    """Runs a model and notes the work of the call on the stage it runs in.

    Outside a recorded stage it only runs the model. The work of a shape is counted once, after
    the first call with it, while a GPU still computes that call.

    Parameters
    ----------
    module : torch.nn.Module or callable
        What is counted: a model, a method of one, or a function of its arguments alone.
    run : callable, optional
        What is run instead, such as the compiled form of the model.

    Examples
    --------
    In the stage ``denoise``::

        velocity = CountedModule(model)
        with profile_stage("denoise", SpanKind.GPU):
            for step in steps:
                latents = latents + step * velocity(latents, condition)
    """

    def __init__(self, module: Callable[..., Any], run: Callable[..., Any] | None = None) -> None:
        self._module = module
        self._run = run or module

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the model; what it raises is raised."""
        result = self._run(*args, **kwargs)
        if innermost_span() is not None:
            _note(count_work(self._module, *args, dtype=autocast_dtype(args), **kwargs))
        return result


def _note(work: Work | None) -> None:
    if work is None:
        note_work(None, None, None)
    else:
        note_work(work.flop, work.moved_bytes_min, work.dtype)


def autocast_dtype(args: Sequence[Any]) -> torch.dtype | None:
    """Return what torch casts products to where the first of these tensors is, None if nothing."""
    import torch

    first = next((arg for arg in args if isinstance(arg, torch.Tensor)), None)
    if first is None or not torch.is_autocast_enabled(first.device.type):
        return None
    return torch.get_autocast_dtype(first.device.type)
