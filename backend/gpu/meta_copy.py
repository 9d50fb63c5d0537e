"""A call with the shapes of its tensors but none of their numbers."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

HOOKS = ("_forward_hooks", "_forward_pre_hooks")


class UncountableError(Exception):
    """The work of a call cannot be told without running it."""


def meta_call(
    call: Callable[..., Any],
    example: tuple[Any, ...],
    named: dict[str, Any],
    dtype: torch.dtype | None = None,
) -> Callable[[], Any]:
    """Return the same call on the meta device.

    Parameters
    ----------
    dtype : torch.dtype, optional
        Type of all floating-point tensors of the copy.

    Raises
    ------
    UncountableError
        The model has hooks, which may compute what its layers do not show, or weights of a kind
        of their own, whose layout torch's formulas do not know.
    """
    import torch
    from torch.utils._pytree import tree_map_only

    def bare(tensor: torch.Tensor) -> torch.Tensor:
        return _bare(tensor, dtype)

    args, kwargs = tree_map_only(torch.Tensor, bare, (example, named))
    method = _on_meta(call, dtype)
    return lambda: method(*args, **kwargs)


def _on_meta(call: Callable[..., Any], dtype: torch.dtype | None) -> Callable[..., Any]:
    """Swap the model for its copy; a compiled model is counted as the one it was made from."""
    import torch

    call = getattr(call, "_orig_mod", call)
    if isinstance(call, torch.nn.Module):
        return _module_on_meta(call, dtype)
    owner = getattr(call, "__self__", None)
    if isinstance(owner, torch.nn.Module):
        method: Callable[..., Any] = getattr(_module_on_meta(owner, dtype), call.__name__)
        return method
    return call


def _module_on_meta(module: torch.nn.Module, dtype: torch.dtype | None) -> torch.nn.Module:
    """Copy the layers but not the weights: ``deepcopy`` takes what it is told of as copied."""
    copied: dict[int, Any] = {}
    for layer in module.modules():
        if any(getattr(layer, hooks) for hooks in HOOKS):
            raise UncountableError("a layer has hooks")
        for tensor in _own_tensors(layer):
            if id(tensor) not in copied:
                copied[id(tensor)] = _bare(tensor, dtype)
    # Hooks for saving or loading have no part in a call and may hold on to anything.
    for layer in module.modules():
        for name, value in vars(layer).items():
            if name.endswith("_hooks"):
                copied[id(value)] = OrderedDict()
    return copy.deepcopy(module, copied)


def _own_tensors(layer: torch.nn.Module) -> list[torch.Tensor]:
    """Weights and buffers of the layer itself, and tensors it keeps as plain attributes."""
    import torch

    found = [*layer._parameters.values(), *layer._buffers.values(), *vars(layer).values()]
    return [value for value in found if isinstance(value, torch.Tensor)]


def _bare(tensor: torch.Tensor, dtype: torch.dtype | None) -> torch.Tensor:
    import torch

    if type(tensor) not in (torch.Tensor, torch.nn.Parameter, torch.nn.Buffer):
        raise UncountableError(f"a weight is a {type(tensor).__name__}")
    wanted = dtype if dtype is not None and tensor.is_floating_point() else tensor.dtype
    bare = torch.empty_like(tensor, dtype=wanted, device="meta", requires_grad=False)
    is_weight = isinstance(tensor, torch.nn.Parameter)
    return torch.nn.Parameter(bare, requires_grad=False) if is_weight else bare
