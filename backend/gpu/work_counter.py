"""Adds up the work of torch's operations as they are issued. Imports torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from backend.gpu.meta_copy import UncountableError

FORMATS = {
    torch.float64: "fp64",
    torch.float32: "fp32",
    torch.float16: "fp16",
    torch.bfloat16: "bf16",
    torch.float8_e4m3fn: "fp8",
    torch.float8_e5m2: "fp8",
}
# Names of operations that compute much; without a formula of torch's, their work is unknown.
HEAVY = re.compile(
    r"(mm|mv|dot)(_|$)|conv|rnn|lstm|gru|attention|encoder|fft|linalg|cholesky|inverse|solve"
    r"|qr(_|$)|svd|eig|lu_(factor|solve|unpack|with_info)|^_trilinear$|dist|sparse|quantized|addr"
    r"|matrix_exp"
)
# What torch's formulas leave out: the operation it amounts to, and the arguments of that.
AMOUNTS_TO = {
    "addmm_": (torch.ops.aten.addmm, slice(0, 3)),
    "baddbmm_": (torch.ops.aten.baddbmm, slice(0, 3)),
    "addbmm": (torch.ops.aten.bmm, slice(1, 3)),
    "addbmm_": (torch.ops.aten.bmm, slice(1, 3)),
}
# Products with a vector: the argument each of whose elements is multiplied and added once.
WITH_VECTOR = {"mv": 0, "addmv": 1, "addmv_": 1, "dot": 0, "vdot": 0}
KNOWN_SPACES = frozenset({"aten", "prim", "prims"})
# These read only the rows that they return, or write only the rows that they are given.
BY_ROW = frozenset({"embedding", "index", "index_select", "gather", "take"})
BY_ROW_INTO = frozenset({"index_put_", "index_copy_", "scatter_"})
UNWRITTEN = frozenset({"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"})


class WorkCounter(TorchDispatchMode):
    """Counts every operation issued inside it.

    Parameters
    ----------
    on_gpu : bool
        Whether the work is meant for a GPU, where fp32 may stand for tf32.

    Attributes
    ----------
    flop, moved_bytes : int
        See ``backend.gpu.flops.Work``.

    Notes
    -----
    The formulas are those of ``torch.utils.flop_counter``. Its mode itself also puts hooks on all
    models of the process, which other threads would run into; therefore it is not used.
    """

    def __init__(self, *, on_gpu: bool = False) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flop = 0
        self.moved_bytes = 0
        self.formats: set[str] = set()
        self.attention_dtype: torch.dtype | None = None
        self._fp32_formats = _fp32_formats() if on_gpu else {}

    @property
    def dtype(self) -> str | None:
        """What products computed in; ``mixed`` for several formats, None without any."""
        return "mixed" if len(self.formats) > 1 else next(iter(self.formats), None)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operation and count it; raises UncountableError if nobody knows its work."""
        named = kwargs or {}
        result = func(*args, **named)
        packet = getattr(func, "overloadpacket", func)
        flop = _flop(packet, args, named, result)
        if flop is not None:
            self.flop += flop
            self.formats.add(self._format(packet.__name__, args))
        elif func.namespace not in KNOWN_SPACES or HEAVY.search(packet.__name__):
            raise UncountableError(f"no formula for {func}")
        if self.attention_dtype is None and not getattr(func, "is_view", False):
            self.moved_bytes += moved_bytes(packet.__name__, (args, named), result)
        return result

    def _format(self, name: str, args: Any) -> str:
        dtype = self.attention_dtype or _distinct(args)[0].dtype
        found = FORMATS.get(dtype, str(dtype).removeprefix("torch."))
        return self._fp32_formats.get("conv" in name, found) if found == "fp32" else found


class AttentionAsOne(TorchFunctionMode):
    """Lets attention move its inputs and its result only.

    The meta device takes it apart into products, of fp32 even for bf16, whose scores a fused kernel
    never writes.
    """

    def __init__(self, counter: WorkCounter) -> None:
        super().__init__()
        self._counter = counter

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Run one function; what attention does inside is not counted as moved."""
        named = kwargs or {}
        counter = self._counter
        if func is not torch.nn.functional.scaled_dot_product_attention:
            return func(*args, **named)
        counter.attention_dtype = _distinct((args, named))[0].dtype
        try:
            result = func(*args, **named)
        finally:
            counter.attention_dtype = None
        counter.moved_bytes += moved_bytes("attention", (args, named), result)
        return result


def _flop(packet: Any, args: Any, named: Any, result: Any) -> int | None:
    """Return the operations of a call; None if there is no formula for it."""
    name = packet.__name__
    if name in WITH_VECTOR:
        return 2 * int(args[WITH_VECTOR[name]].numel())
    same, wanted = AMOUNTS_TO.get(name, (packet, slice(None)))
    formula = flop_registry.get(same)
    if formula is None:
        return None
    given = {} if name in AMOUNTS_TO else named
    return int(formula(*args[wanted], **given, out_val=result))


def moved_bytes(name: str, arguments: object, result: object) -> int:
    """Bytes that an operation reads and writes at least.

    Parameters
    ----------
    name : str
        Of the operation, without its namespace and overload.
    arguments, result
        Any nesting of tensors; a tensor given twice is read once.
    """
    read, written = _distinct(arguments), _distinct(result)
    if name in UNWRITTEN:
        return 0
    if name in BY_ROW:  # the rows that come out are read, the others are not
        return _bytes(read[1:]) + 2 * _bytes(written)
    if name in BY_ROW_INTO:  # the tensor that is written into is read nowhere
        return 2 * _bytes(read[1:])
    return _bytes(read) + _bytes(written)


def stored_bytes(tensor: torch.Tensor) -> int:
    """Bytes behind a tensor; what is repeated by a stride of 0 lies in memory once.

    >>> stored_bytes(torch.zeros(3, 1).expand(3, 100))
    12
    """
    elements = 1
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        elements *= size if stride or not size else 1
    return elements * tensor.element_size()


def _fp32_formats() -> dict[bool, str]:
    """What fp32 stands for on a GPU: by whether it is a convolution."""
    products = "fp32" if torch.get_float32_matmul_precision() == "highest" else "tf32"
    return {False: products, True: "tf32" if torch.backends.cudnn.allow_tf32 else "fp32"}


def _distinct(values: object) -> list[torch.Tensor]:
    found = {id(leaf): leaf for leaf in tree_leaves(values) if isinstance(leaf, torch.Tensor)}
    return list(found.values())


def _bytes(tensors: Iterable[torch.Tensor]) -> int:
    return sum(stored_bytes(tensor) for tensor in tensors)
