"""How much memory a batch takes, counted without running it and without a GPU.

A first guess only: kernels' workspaces are not in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from backend.gpu.peak_model import Basis, PeakModel
from backend.units import MB

if TYPE_CHECKING:
    from torch import Tensor, nn


def count_peak(
    build: Callable[[], nn.Module],
    make_inputs: Callable[[int], tuple[Tensor, ...]],
    sizes: tuple[int, int] = (1, 2),
) -> PeakModel:
    """Count the peak of a forward pass at two batch sizes with tensors that hold no data.

    Parameters
    ----------
    build : callable
        Makes the module in its final dtype; called with tensors faked.
    make_inputs : callable
        Makes the inputs of a batch of the given size.

    Returns
    -------
    PeakModel
        Growth beside the weights, in MB.
    """
    weights_mb, first_mb = _forward_peak_mb(build, make_inputs, sizes[0])
    _, second_mb = _forward_peak_mb(build, make_inputs, sizes[1])
    per_item_mb = max(0.0, (second_mb - first_mb) / (sizes[1] - sizes[0]))
    fixed_mb = max(0.0, first_mb - weights_mb - per_item_mb * sizes[0])
    return PeakModel(fixed_mb, per_item_mb, Basis.PRIOR)


def _forward_peak_mb(
    build: Callable[[], nn.Module], make_inputs: Callable[[int], tuple[Tensor, ...]], size: int
) -> tuple[float, float]:
    """Return the bytes of the weights and the peak of one forward pass, in MB."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.distributed._tools.mem_tracker import MemTracker

    with FakeTensorMode(), torch.no_grad(), _without_fused_layers():
        module = build().eval()
        inputs = make_inputs(size)
        tensors = {id(t): t for t in (*module.parameters(), *module.buffers())}
        weights = sum(t.numel() * t.itemsize for t in tensors.values())
        tracker = MemTracker()
        tracker.track_external(module)
        with tracker:
            module(*inputs)
        snapshot = tracker.get_tracker_snapshot("peak")
    peak = max(device["Total"] for device in snapshot.values())
    return weights / MB, peak / MB


@contextmanager
def _without_fused_layers() -> Iterator[None]:
    """Let encoder layers run step by step: one fused call would hide what is between."""
    import torch

    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(value=False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(value=before)
