"""Values that pass between processes: a JSON tree, and the large parts as raw memory.

No pickle: what arrives can only be data. Text, numbers and containers stand in the tree; bytes,
arrays and tensors are named there and travel as they lie in memory.
"""

from __future__ import annotations

import ctypes
import importlib
import math
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .memory import is_out_of_memory

LONG_TEXT = 65_536
DEEPEST = 32
_NUMPY_DTYPE = re.compile(r"[<>|=][biufcmMSU][0-9]{1,9}(\[[0-9]*[a-zA-Z]+\])?")


class CannotPass(TypeError):
    """A value, named by its place, that is neither data nor made of data."""


class BadValue(ValueError):
    """A tree or a buffer that no sender of ours would write."""


class Raw(NamedTuple):
    """An array or a tensor in a process that has no library for it.

    Parameters
    ----------
    kind : str
        ``array`` (numpy) or ``tensor`` (torch).
    dtype : str
        As numpy (``<f4``) or torch (``bfloat16``) names it.
    device : str
        Where a tensor was.
    """

    kind: str
    dtype: str
    shape: tuple[int, ...]
    data: Any
    device: str = "cpu"


class Packed(NamedTuple):
    """A value ready to be sent; the buffers are the value's own memory."""

    tree: Any
    buffers: list[memoryview]


def pack(value: Any, place: str = "value") -> Packed:
    """Write a value as a tree and buffers; nothing large is copied.

    Raises
    ------
    CannotPass
        A part of it is no data; the message names its place.
    """
    packer = _Packer()
    return Packed(packer.pack(value, place, 0), packer.buffers)


def unpack(tree: Any, buffers: Sequence[Any], *, on_device: bool = False) -> Any:
    """Make the value again; arrays and tensors live in the buffers, which are not copied.

    With ``on_device`` tensors go where they came from, if this process has such a device.

    Raises
    ------
    BadValue
    """
    try:
        return _Unpacker(buffers, on_device).unpack(tree, 0)
    except BadValue:
        raise
    except (
        AttributeError, LookupError, TypeError, ValueError, ArithmeticError, RuntimeError
    ) as error:  # fmt: skip
        if is_out_of_memory(error):
            raise
        raise BadValue(f"{type(error).__name__}: {error}") from error


def memory_of(value: Any) -> Raw | None:
    """Describe an array or a tensor as its memory; None for anything else.

    Raises
    ------
    CannotPass
        Its elements are no plain numbers.
    """
    if isinstance(value, Raw):
        return value
    torch, numpy = sys.modules.get("torch"), sys.modules.get("numpy")
    if torch is not None and isinstance(value, torch.Tensor):
        return _memory_of_tensor(torch, value)
    if numpy is not None and isinstance(value, numpy.ndarray):
        return _memory_of_array(numpy, value)
    return None


class _Packer:
    def __init__(self) -> None:
        self.buffers: list[memoryview] = []

    def pack(self, value: Any, place: str, depth: int) -> Any:
        if value is None or type(value) in (bool, int, float):
            return value
        if depth > DEEPEST:
            raise CannotPass(f"{place} is nested more than {DEEPEST} deep")
        if isinstance(value, str):
            return self._text(str.__str__(value))
        if isinstance(value, (list, tuple, dict)) and not isinstance(value, Raw):
            return self._container(value, place, depth + 1)
        return self._leaf(value, place)

    def _text(self, text: str) -> Any:
        if len(text) <= LONG_TEXT:
            return text
        return {"text": self._buffer(text.encode("utf-8", "surrogatepass"))}

    def _container(self, value: Any, place: str, depth: int) -> Any:
        if isinstance(value, dict):
            pairs = [
                [self.pack(k, f"a key of {place}", depth), self.pack(v, f"{place}[{k!r}]", depth)]
                for k, v in value.items()
            ]
            return {"dict": pairs}
        items = [self.pack(v, f"{place}[{number}]", depth) for number, v in enumerate(value)]
        return {"tuple": items} if isinstance(value, tuple) else items

    def _leaf(self, value: Any, place: str) -> Any:
        if isinstance(value, (bytes, bytearray, memoryview)):
            return {"bytes": self._buffer(value)}
        if isinstance(value, os.PathLike):
            return {"path": os.fsdecode(value)}
        try:
            memory = memory_of(value)
        except CannotPass as error:
            raise CannotPass(f"{place} is {error}") from None
        if memory is not None:
            facts = [memory.dtype, list(memory.shape), memory.device]
            return {memory.kind: [self._buffer(memory.data), *facts]}
        numpy = sys.modules.get("numpy")
        if numpy is not None and isinstance(value, numpy.generic) and not value.dtype.hasobject:
            return {"scalar": [value.dtype.str, value.tobytes().hex()]}
        if isinstance(value, (int, float)):  # a member of an enum arrives as its number
            return int(value) if isinstance(value, int) else float(value)
        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        raise CannotPass(f"{place} is a {kind}, which cannot pass between processes")

    def _buffer(self, data: Any) -> int:
        view = memoryview(data)
        if not view.c_contiguous:
            view = memoryview(view.tobytes())
        self.buffers.append(view if view.format == "B" and view.ndim == 1 else view.cast("B"))
        return len(self.buffers) - 1


def _memory_of_tensor(torch: Any, value: Any) -> Raw:
    if value.layout is not torch.strided or value.is_quantized:
        raise CannotPass("a sparse or quantised tensor, which cannot pass between processes")
    flat = value.detach().to("cpu").resolve_conj().resolve_neg().contiguous().reshape(-1)
    size_bytes = flat.numel() * flat.element_size()
    dtype = str(value.dtype).rpartition(".")[2]
    data = memoryview(b"")
    if size_bytes:
        memory = (ctypes.c_char * size_bytes).from_address(flat.data_ptr())
        memory.tensor = flat  # the memory lives as long as somebody looks at it
        data = memoryview(memory).cast("B")
    return Raw("tensor", dtype, tuple(value.shape), data, value.device.type)


def _memory_of_array(numpy: Any, value: Any) -> Raw:
    if value.dtype.hasobject or value.dtype.kind == "V":
        raise CannotPass(f"an array of {value.dtype}, which cannot pass between processes")
    flat = numpy.ascontiguousarray(value).reshape(-1)
    data = memoryview(flat.view("u1")) if flat.size else memoryview(b"")
    return Raw("array", value.dtype.str, value.shape, data)


class _Unpacker:
    def __init__(self, buffers: Sequence[Any], on_device: bool) -> None:
        self._buffers = buffers
        self._on_device = on_device

    def unpack(self, tree: Any, depth: int) -> Any:
        if depth > DEEPEST + 1:
            raise BadValue("nested too deep")
        if isinstance(tree, list):
            return [self.unpack(item, depth + 1) for item in tree]
        if not isinstance(tree, dict):
            return tree
        if len(tree) != 1:
            raise BadValue("a tagged value has one tag")
        ((tag, content),) = tree.items()
        if tag == "tuple":
            return tuple(self.unpack(item, depth + 1) for item in content)
        if tag == "dict":
            return {self.unpack(k, depth + 1): self.unpack(v, depth + 1) for k, v in content}
        return self._leaf(tag, content)

    def _leaf(self, tag: str, content: Any) -> Any:
        if tag == "path":
            return Path(content)
        if tag == "bytes":
            return bytes(self._buffers[content])
        if tag == "text":
            return bytes(self._buffers[content]).decode("utf-8", "surrogatepass")
        if tag == "scalar":
            return _scalar(*content)
        if tag in ("array", "tensor"):
            number, dtype, shape, device = content
            raw = Raw(tag, dtype, _shape(shape), self._buffers[number], device)
            return _array(raw) if tag == "array" else _tensor(raw, self._on_device)
        raise BadValue(f"unknown tag {tag!r}")


def _shape(shape: Any) -> tuple[int, ...]:
    if not all(type(size) is int and size >= 0 for size in shape):
        raise BadValue("not a shape")
    return tuple(shape)


def _scalar(dtype: str, digits: str) -> Any:
    numpy = _library("numpy")
    data = bytes.fromhex(digits)
    if numpy is None:
        return Raw("array", dtype, (), data)
    return numpy.frombuffer(data, _numpy_dtype(numpy, dtype))[0]


def _array(raw: Raw) -> Any:
    numpy = _library("numpy")
    if numpy is None:
        return raw._replace(data=bytes(raw.data))
    dtype = _numpy_dtype(numpy, raw.dtype)
    _check_size(raw, dtype.itemsize)
    if not math.prod(raw.shape):
        return numpy.zeros(raw.shape, dtype)
    return numpy.frombuffer(raw.data, dtype).reshape(raw.shape)


def _numpy_dtype(numpy: Any, name: Any) -> Any:
    if not isinstance(name, str) or not _NUMPY_DTYPE.fullmatch(name):
        raise BadValue(f"not a dtype: {name!r}")
    return numpy.dtype(name)


def _tensor(raw: Raw, on_device: bool) -> Any:
    torch = _library("torch")
    if torch is None:
        return raw._replace(data=bytes(raw.data))
    dtype = getattr(torch, raw.dtype, None)
    if not isinstance(dtype, torch.dtype):
        if not raw.dtype.isidentifier():
            raise BadValue(f"not a dtype: {raw.dtype!r}")
        return raw._replace(data=bytes(raw.data))  # newer than the torch of this process
    _check_size(raw, torch.zeros(0, dtype=dtype).element_size())
    if not math.prod(raw.shape):
        return torch.zeros(raw.shape, dtype=dtype)
    tensor = torch.frombuffer(raw.data, dtype=torch.uint8).view(dtype).reshape(raw.shape)
    there = on_device and raw.device == "cuda" and torch.cuda.is_available()
    return tensor.to("cuda") if there else tensor


def _check_size(raw: Raw, item_bytes: int) -> None:
    if math.prod(raw.shape) * item_bytes != len(raw.data):
        raise BadValue(f"{len(raw.data)} bytes are no {raw.dtype} of {raw.shape}")


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
