"""What a program holds: modules that can be moved, and what cannot, each with its path.

It runs in our process and in those of hosted programs. The graph of plain attributes, slots and
containers is read without calling anything of the program: no property, no ``__getattr__``.
"""

from __future__ import annotations

import collections
import logging
import sys
import types
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

DEPTH = 4
QUANTISED, SPECIAL_TENSORS, FOREIGN_RUNTIME = "quantised", "special_tensors", "foreign_runtime"
_RUNTIMES = {
    "onnxruntime": "ONNX Runtime",
    "tensorrt": "TensorRT",
    "ctranslate2": "CTranslate2",
    "llama_cpp": "llama.cpp",
    "vllm": "vLLM",
}
_RUNTIME_CLASSES = {"InferenceSession": "ONNX Runtime", "ICudaEngine": "TensorRT"}
_QUANTISERS = ("bitsandbytes", "auto_gptq", "gptqmodel", "awq", "quanto", "optimum.quanto", "hqq")
_REGISTERED = ("_parameters", "_buffers", "_modules")
_PLAIN = frozenset((type(None), bool, int, float, complex, str, bytes, bytearray, range, slice))
_CLOSED = (
    types.ModuleType,
    type,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    types.CodeType,
    types.FrameType,
    types.GeneratorType,
    weakref.ReferenceType,
    logging.Logger,
    logging.Handler,
)
_LISTS = (list, tuple, set, frozenset, collections.deque)


@dataclass(frozen=True)
class Immovable:
    """Something that no copy of tensors can take off the device.

    Parameters
    ----------
    path : str
        From the program, such as ``tokenizer.encoder``.
    kind : str
        ``quantised``, ``special_tensors`` or ``foreign_runtime``.
    reason : str
        For people.
    thing : object
        The thing itself.
    """

    path: str
    kind: str
    reason: str
    thing: Any = field(repr=False, compare=False)


@dataclass
class Survey:
    """What was found in a program.

    Parameters
    ----------
    roots : list of (path, module)
        Modules that no other one contains, nearest first; the immovable ones are not among them.
    tensors : list of (path, tensor)
        Tensors that belong to no module.
    immovable : list of Immovable
        What has to be released instead.
    """

    roots: list[tuple[str, Any]] = field(default_factory=list)
    tensors: list[tuple[str, Any]] = field(default_factory=list)
    immovable: list[Immovable] = field(default_factory=list)


def find_roots(program: Any, depth: int = DEPTH) -> list[tuple[str, Any]]:
    """Return the modules that can be moved, with their paths; see ``survey``."""
    return survey(program, depth).roots


def survey(program: Any, depth: int = DEPTH) -> Survey:
    """Look through a program for what takes device memory.

    Parameters
    ----------
    depth : int
        Steps from attribute to attribute; the items of containers are as near as the container.
    """
    found = Survey()
    modules: list[tuple[str, Any]] = []
    for path, thing in _walk(program, depth):
        if _is_torch(thing, "nn.Module"):
            modules.append((path, thing))
        elif _is_torch(thing, "Tensor"):
            found.tensors.append((path, thing))
        else:
            runtime = _runtime_of(thing)
            if runtime:
                reason = f"{runtime} keeps its memory to itself"
                found.immovable.append(Immovable(path, FOREIGN_RUNTIME, reason, thing))
    for path, module in _outermost(modules):
        obstacle = _obstacle(path, module)
        if obstacle is None:
            found.roots.append((path, module))
        else:
            found.immovable.append(obstacle)
    _drop_tensors_of_modules(found, modules)
    return found


def resolve(program: Any, path: str) -> Any:
    """Follow a path of attribute names and ``[index]`` or ``['key']`` items.

    Raises
    ------
    AttributeError
        There is nothing at this path.
    """
    thing = program
    for name, index in _steps(path):
        try:
            thing = getattr(thing, name) if index is None else thing[index]
        except (AttributeError, LookupError, TypeError) as error:
            message = f"{type(program).__name__} has nothing at {path!r}: {error}"
            raise AttributeError(message) from None
    return thing


def _steps(path: str) -> Iterator[tuple[str, Any]]:
    for part in path.replace("[", ".[").split("."):
        if part.startswith("["):
            key = part[1:-1]
            quoted = key[:1] in "'\"" and key[:1] != ""
            yield "", key[1:-1] if quoted else int(key)
        elif part:
            yield part, None


def _walk(program: Any, depth: int) -> Iterator[tuple[str, Any]]:
    """Yield every object once, the nearest first, with its path."""
    seen: set[int] = set()
    queue = collections.deque([("", program, depth)])
    while queue:
        path, thing, left = queue.popleft()
        if type(thing) in _PLAIN or _is_one_of(thing, _CLOSED) or id(thing) in seen:
            continue
        seen.add(id(thing))
        if not _is_one_of(thing, (dict, *_LISTS)):
            yield path, thing
        for inner_path, inner, cost in _inside(path, thing):
            if left >= cost:
                queue.append((inner_path, inner, left - cost))


def _inside(path: str, thing: Any) -> Iterator[tuple[str, Any, int]]:
    """Yield what an object holds: path, object, and how many steps that is."""
    if _is_one_of(thing, (dict,)):
        items = [
            (key, value) for key, value in list(dict.items(thing)) if type(value) not in _PLAIN
        ]
        yield from ((f"{path}[{key!r}]", value, 0) for key, value in items)
    elif _is_one_of(thing, _LISTS):
        items = [(at, value) for at, value in enumerate(list(thing)) if type(value) not in _PLAIN]
        yield from ((f"{path}[{at}]", value, 0) for at, value in items)
    elif _is_torch(thing, "nn.Module"):
        yield from _beside_submodules(path, thing)
    elif not (_is_torch(thing, "Tensor") or _is_array(thing)):
        yield from ((_joined(path, key), value, 1) for key, value in _attributes(thing))


def _beside_submodules(path: str, module: Any) -> Iterator[tuple[str, Any, int]]:
    """Yield what a module and those in it hold as plain attributes, such as lists of modules."""
    for name, child in module.named_modules():
        within = ".".join(filter(None, (path, name)))
        for key, value in _attributes(child):
            if key not in _REGISTERED:
                yield _joined(within, key), value, 1


def _attributes(thing: Any) -> Iterator[tuple[str, Any]]:
    """Yield plain attributes and filled slots; nothing is computed for it."""
    try:
        plain = object.__getattribute__(thing, "__dict__")
    except AttributeError:
        plain = None
    if isinstance(plain, dict):
        for key, value in list(plain.items()):
            yield str(key), value
    for kind in type(thing).__mro__:
        if "__slots__" not in vars(kind):
            continue
        for key, member in vars(kind).items():
            if issubclass(type(member), types.MemberDescriptorType):
                try:
                    yield key, member.__get__(thing, type(thing))
                except AttributeError:
                    continue


def _outermost(modules: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Leave out modules that another one contains, however they are reached."""
    inner: set[int] = set()
    for _, module in modules:
        inner.update(id(child) for child in module.modules() if child is not module)
    return [(path, module) for path, module in modules if id(module) not in inner]


def _obstacle(path: str, module: Any) -> Immovable | None:
    """Say why a module cannot be moved as plain memory; None when it can."""
    for name, child in module.named_modules():
        home = type(child).__module__
        if any(home == q or home.startswith(q + ".") for q in _QUANTISERS):
            where = _joined(path, name) if name else path
            reason = f"{where or 'the module'} is quantised by {home.partition('.')[0]}"
            return Immovable(path, QUANTISED, reason, module)
    plain = _plain_tensor_types()
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if type(tensor) not in plain or tensor.is_sparse or tensor.is_quantized:
            reason = f"{_joined(path, name)} is a {type(tensor).__name__}, no plain memory"
            return Immovable(path, SPECIAL_TENSORS, reason, module)
    return None


def _drop_tensors_of_modules(found: Survey, modules: list[tuple[str, Any]]) -> None:
    known: set[int] = set()
    for _, module in modules:
        known.update(map(id, module.parameters()))
        known.update(map(id, module.buffers()))
    found.tensors = [(path, tensor) for path, tensor in found.tensors if id(tensor) not in known]


def _plain_tensor_types() -> tuple[type, ...]:
    torch = sys.modules["torch"]
    buffer = getattr(torch.nn, "Buffer", torch.Tensor)
    return (torch.Tensor, torch.nn.Parameter, buffer)


def _runtime_of(thing: Any) -> str | None:
    """Name the runtime that an object belongs to, when it keeps weights of its own."""
    for kind in type(thing).__mro__:
        home = str(getattr(kind, "__module__", "")).partition(".")[0]
        if kind.__name__ in _RUNTIME_CLASSES:
            return _RUNTIME_CLASSES[kind.__name__]
        if home in _RUNTIMES and kind.__name__ in ("Llama", "LLM", "Generator", "Whisper"):
            return _RUNTIMES[home]
    return None


def _is_torch(thing: Any, name: str) -> bool:
    torch = sys.modules.get("torch")
    if torch is None:
        return False
    kind = torch.nn.Module if name == "nn.Module" else torch.Tensor
    return issubclass(type(thing), kind)


def _is_array(thing: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and issubclass(type(thing), numpy.ndarray)


def _is_one_of(thing: Any, kinds: tuple[type, ...]) -> bool:
    # not isinstance, which asks the object for its __class__ and so may call a proxy
    return issubclass(type(thing), kinds)


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
