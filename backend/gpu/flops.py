"""What a model has to compute and to move for one call, counted without running it.

The call is made once on torch's meta device, which knows shapes but holds no numbers, so a count
takes no memory and no GPU. Real tensors on a processor would not do: their attention kernel is
not in torch's table of formulas and counts as nothing.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from backend.gpu.meta_copy import meta_call

if TYPE_CHECKING:
    import torch

# A model that is called with ever new shapes is not worth a count each time.
MOST_COUNTS = 64

_lock = threading.Lock()
_counts: weakref.WeakKeyDictionary[Any, dict[Hashable, Work | None]] = weakref.WeakKeyDictionary()


@dataclass(frozen=True)
class Work:
    """Work of one call.

    Parameters
    ----------
    flop : int
        Floating-point operations of matrix products, convolutions and attention; a product and
        a sum are two. What works element by element counts as nothing, and what a causal mask
        leaves out counts as done, as is usual.
    moved_bytes_min : int
        Every operation reads its inputs and writes its result once, attention as one operation.
        Fused or compiled operations and a large cache may move less, bad access patterns more.
    dtype : str or None
        What the products compute in: ``fp32``, ``tf32``, ``fp16``, ``bf16``, ``fp8``;
        ``mixed`` for several, None without any.
    """

    flop: int
    moved_bytes_min: int
    dtype: str | None


def count_work(
    call: Callable[..., Any], *example: Any, dtype: torch.dtype | None = None, **named: Any
) -> Work | None:
    """Count the work of one call.

    Parameters
    ----------
    call : torch.nn.Module or callable
        A model, a method of one, or a function of its arguments alone. It is not changed.
    *example, **named
        What it is called with; of tensors only shape, type and device matter.
    dtype : torch.dtype, optional
        Count as if all floating-point weights and arguments were of this type.

    Returns
    -------
    Work or None
        None if it cannot be known: an operation has no formula or does not run on the meta
        device, the way depends on values, hooks may do more, or too many shapes were counted.

    Notes
    -----
    Counted once per model, way of calling and dtype, see ``forget_work``. The first count takes
    as long as the call takes to be issued, about 0.1 to 0.3 s for a large transformer.
    """
    key = _way_of_calling(call, example, named, dtype)
    known = _known(call)
    if key is None or known is None:
        return _count(call, example, named, dtype)
    if key not in known:
        if len(known) >= MOST_COUNTS:
            return None
        known[key] = _count(call, example, named, dtype)
    return known[key]


def forget_work(owner: object) -> None:
    """Count a model again at its next call, because its layers changed."""
    with _lock:
        _counts.pop(owner, None)


def _count(
    call: Callable[..., Any],
    example: tuple[Any, ...],
    named: dict[str, Any],
    dtype: torch.dtype | None,
) -> Work | None:
    import torch

    from backend.gpu.work_counter import AttentionAsOne, WorkCounter

    on_gpu = any(tensor.is_cuda for tensor in _tensors((example, named)))
    counter = WorkCounter(on_gpu=on_gpu)
    try:
        # In inference mode composed operations reach the counter whole, without a formula.
        with torch.inference_mode(False), torch.no_grad():
            issue = meta_call(call, example, named, dtype)
            # A tensor that the model makes without naming a device shall be a meta tensor too.
            with torch.device("meta"), AttentionAsOne(counter), counter:
                issue()
    except Exception:  # noqa: BLE001  whatever a model raises there, its work is unknown
        return None
    return Work(counter.flop, counter.moved_bytes, counter.dtype)


def _known(call: Callable[..., Any]) -> dict[Hashable, Work | None] | None:
    """Return the counts of the owner of the call; None if it cannot be remembered."""
    import torch

    owner = _owner(call)
    if not isinstance(owner, (torch.nn.Module, FunctionType, BuiltinFunctionType)):
        return None
    with _lock:
        return _counts.setdefault(owner, {})


def _owner(call: Callable[..., Any]) -> Any:
    """Return the model of a method; a function belongs to nobody."""
    return call.__self__ if isinstance(call, MethodType) else call


def _way_of_calling(
    call: Callable[..., Any],
    example: tuple[Any, ...],
    named: dict[str, Any],
    dtype: torch.dtype | None,
) -> Hashable:
    """Name everything the count depends on; None if an argument cannot be named."""
    import torch
    from torch.utils._pytree import tree_flatten

    owner = _owner(call)
    leaves, structure = tree_flatten((example, named))
    described: list[Hashable] = [
        (leaf.shape, leaf.dtype, leaf.device.type)
        if isinstance(leaf, torch.Tensor)
        else (type(leaf), leaf)
        for leaf in leaves
    ]
    weights = _weights_dtype(owner)
    key = (
        getattr(call, "__name__", ""), structure, tuple(described), dtype, weights,
        getattr(owner, "training", None), torch.get_float32_matmul_precision(),
    )  # fmt: skip
    try:
        hash(key)
    except TypeError:
        return None
    return key


def _weights_dtype(owner: object) -> torch.dtype | None:
    import torch

    if not isinstance(owner, torch.nn.Module):
        return None
    return next((weight.dtype for weight in owner.parameters()), None)


def _tensors(arguments: object) -> list[Any]:
    import torch
    from torch.utils._pytree import tree_leaves

    return [leaf for leaf in tree_leaves(arguments) if isinstance(leaf, torch.Tensor)]
