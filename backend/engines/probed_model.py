"""A network that a job has used, as a measurement finds it: its arguments, its batch, its place."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch
    from torch import nn

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


class ProbedModel(Protocol):
    """What ``HostedModel`` tells of itself."""

    name: str
    module: nn.Module
    stage: str | None
    autocast_dtype: torch.dtype | None

    def example(self) -> Arguments | None:
        """Return arguments like those of its last call."""


def _tensors(example: Arguments) -> list[torch.Tensor]:
    import torch
    from torch.utils._pytree import tree_leaves

    return [leaf for leaf in tree_leaves(example) if isinstance(leaf, torch.Tensor)]


def batch_of(example: Arguments) -> int | None:
    """Return the size of the first dimension of the first tensor that has one."""
    return next((int(one.shape[0]) for one in _tensors(example) if one.ndim), None)


def doubled(example: Arguments) -> Arguments:
    """Repeat each tensor that carries the batch along its first dimension."""
    import torch
    from torch.utils._pytree import tree_map_only

    batch = batch_of(example)

    def twice(tensor: torch.Tensor) -> torch.Tensor:
        carries = tensor.ndim and tensor.shape[0] == batch
        return torch.cat([tensor, tensor]) if carries else tensor

    args, kwargs = tree_map_only(torch.Tensor, twice, example)
    return args, kwargs


def device_of(model: ProbedModel, example: Arguments) -> torch.device:
    """Return where its weights are, or else its arguments."""
    import torch

    weights = next(model.module.parameters(), None)
    first = weights if weights is not None else next(iter(_tensors(example)), None)
    return torch.device("cpu") if first is None else first.device


def is_at_hand(model: ProbedModel) -> bool:
    """Whether it may be run now: set to infer, and all of it where its arguments are."""
    if any(part.training for part in model.module.modules()):
        return False
    with own_random_numbers():
        example = model.example()
    if example is None:
        return False
    # A lone number may stay on the host: torch takes it along.
    tensors = [one for one in _tensors(example) if one.ndim]
    return len({one.device for one in (*tensors, *model.module.parameters())}) == 1


def own_random_numbers() -> contextlib.AbstractContextManager[None]:
    """Put torch's random numbers back, as if the block had drawn none."""
    import torch

    cards = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    return torch.random.fork_rng(devices=list(cards))
