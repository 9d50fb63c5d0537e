"""A loaded program as the residency manager sees it: modules to point elsewhere, or one to drop."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from backend.errors import ModelLoadFailed
from backend.residency.guest.module_roots import Survey, resolve, survey
from backend.residency.managed.unmovable import Movable, Unmovable, UnmovableParts
from backend.units import MB


class MovedProgram(dict[str, nn.Module]):
    """Paths and modules of a program whose weights the manager moves; it keeps the program alive.

    Parameters
    ----------
    program : object
        What the factory returned.
    movable : str or list of str
        ``auto``, or paths of the modules and tensors that are moved.

    Raises
    ------
    ModelLoadFailed
        There is nothing to move, or a path leads elsewhere.
    """

    def __init__(
        self, name: str, program: Any, movable: Movable, declared: Sequence[Unmovable]
    ) -> None:
        self.program = program
        self.found = survey(program)
        self.parts = UnmovableParts(name, program, declared)
        chosen = _chosen(name, self.found, movable, program)
        super().__init__({path: thing for path, thing in chosen if isinstance(thing, nn.Module)})
        tensors = {path: thing for path, thing in chosen if isinstance(thing, Tensor)}
        if tensors:
            self["beside the modules"] = TensorsBeside(tensors)
        _to_host_memory(self)

    def facts(self) -> dict[str, Any]:
        """Describe what is moved and what is not, JSON-ready."""
        modules = [
            {"path": path, "class": type(module).__name__, "mb": round(_bytes(module) / MB, 1)}
            for path, module in self.items()
        ]
        not_moved = _not_moved(self.found, self, "not named in 'movable'")
        return {"moved": modules, "not_moved": not_moved}


class TensorsBeside(nn.Module):
    """Tensors that belong to no module, so that they move with the others.

    Parameters
    ----------
    tensors : dict of str to Tensor
        The tensors themselves, by their paths.
    """

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        super().__init__()
        self.paths = list(tensors)
        for number, tensor in enumerate(tensors.values()):
            self.register_buffer(f"tensor_{number}", tensor)


class DroppedProgram:
    """A program whose weights no pointer can move: built when it is needed, dropped afterwards.

    Quantised modules and foreign runtimes are of this kind. It is a ``SelfMoving``.

    Parameters
    ----------
    build : callable
        Makes the program, on the device.
    size_hint_bytes : int
        What it takes, until it was measured.
    program : object, optional
        It, where it was built already.
    """

    def __init__(
        self,
        name: str,
        build: Callable[[], Any],
        declared: Sequence[Unmovable],
        size_hint_bytes: int,
        program: Any = None,
    ) -> None:
        self._name, self._build, self._declared = name, build, declared
        self._size_bytes = size_hint_bytes
        self.builds = 0
        self.program: Any = None
        self.parts: UnmovableParts | None = None
        self._not_moved: list[dict[str, str]] = []
        if program is not None:
            self._keep(program)
            if not _is_on_cpu(program):  # it comes back when there is room for it
                self.to_host()

    @property
    def size_bytes(self) -> int:
        """Device memory that it takes: its tensors' bytes, the hint before it was built."""
        return self._size_bytes

    @property
    def host_bytes(self) -> int:
        """Nothing: a program that is away has been dropped."""
        return 0

    @property
    def device_bytes(self) -> int:
        """Its size while it exists."""
        return self._size_bytes if self.program is not None else 0

    def to_device(self) -> None:
        """Build it, unless it exists; raises as the factory does."""
        if self.program is None:
            self._keep(self._build())

    def to_host(self) -> None:
        """Drop it."""
        self.program, self.parts = None, None
        gc.collect()
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()

    def free(self) -> None:
        """Drop it for good."""
        self.to_host()

    def facts(self) -> dict[str, Any]:
        """Describe why it is dropped instead of moved, JSON-ready."""
        return {"moved": [], "not_moved": self._not_moved, "builds": self.builds}

    def _keep(self, program: Any) -> None:
        self.parts = UnmovableParts(self._name, program, self._declared)
        self.program = program
        self.builds += 1
        found = survey(program)
        self._not_moved = _not_moved(found, {}, "released instead of moved")
        held = [module for _, module in found.roots]
        held += [part.thing for part in found.immovable if isinstance(part.thing, nn.Module)]
        self._size_bytes = sum(map(_bytes, held)) or self._size_bytes


class HookedProgram:
    """A program without modules, that lets go of the device and takes it back by its own hooks.

    It is a ``SelfMoving``.

    Parameters
    ----------
    parts : UnmovableParts
        Its hooks; the host runs them.
    size_bytes : int
        Device memory that it takes, by its owner's word.
    """

    def __init__(self, program: Any, parts: UnmovableParts, size_bytes: int) -> None:
        self.program: Any = program
        self.parts: UnmovableParts | None = parts
        self.size_bytes = size_bytes
        self.host_bytes = 0
        self._is_on_device = False

    @property
    def device_bytes(self) -> int:
        """What it was declared to take, while it is there."""
        return self.size_bytes if self._is_on_device else 0

    def to_device(self) -> None:
        """Let its hooks take the device; a fault in one fails the upload."""
        if self.parts is not None:
            self.parts.restore()
        self._is_on_device = True

    def to_host(self) -> None:
        """Let its hooks give the device back."""
        if self.parts is not None:
            self.parts.release()
        self._is_on_device = False

    def free(self) -> None:
        """Drop the program."""
        self.to_host()
        self.program, self.parts = None, None

    def facts(self) -> dict[str, Any]:
        """Describe that it moves by its own hooks, JSON-ready."""
        return {"moved": [], "not_moved": [], "by_hooks": True}


def has_quantised(found: Survey) -> bool:
    """Whether a module was found that cannot be moved as plain memory."""
    return any(isinstance(part.thing, nn.Module) for part in found.immovable)


def _chosen(name: str, found: Survey, movable: Movable, program: Any) -> list[tuple[str, Any]]:
    """Return what is to be moved, by path."""
    if isinstance(movable, str):
        # tensors on the CPU stay: the program put them there, and may hand them to NumPy
        tensors = [(path, t) for path, t in found.tensors if t.device.type != "cpu"]
        return [*found.roots, *tensors]
    things = [(path, _at(name, program, path)) for path in movable]
    for path, thing in things:
        if not isinstance(thing, nn.Module | Tensor):
            raise ModelLoadFailed(
                f"{name}: at {path!r} is a {type(thing).__name__}, no module and no tensor.",
                advice="Name modules or tensors in 'movable', or leave it at 'auto'.",
            )
    return things


def _at(name: str, program: Any, path: str) -> Any:
    try:
        return resolve(program, path)
    except AttributeError as error:
        raise ModelLoadFailed(
            f"{name}: {error}.", advice="Correct this path in 'movable', or leave it at 'auto'."
        ) from error


def _to_host_memory(modules: dict[str, nn.Module]) -> None:
    """Fetch what the program has put on the device by itself; the manager brings it back."""
    elsewhere = False
    with torch.no_grad():
        for module in modules.values():
            tensors = [*module.parameters(), *module.buffers()]
            for tensor in tensors:
                if tensor.device.type == "cuda":
                    tensor.data = tensor.data.cpu()
                    elsewhere = True
    if elsewhere:
        gc.collect()
        torch.cuda.empty_cache()


def _is_on_cpu(program: Any) -> bool:
    found = survey(program)
    modules = [module for _, module in found.roots]
    modules += [part.thing for part in found.immovable if isinstance(part.thing, nn.Module)]
    tensors = [tensor for _, tensor in found.tensors]
    for module in modules:
        tensors += [*module.parameters(), *module.buffers()]
    return all(tensor.device.type == "cpu" for tensor in tensors)


def _not_moved(found: Survey, moved: dict[str, nn.Module], why: str) -> list[dict[str, str]]:
    """List what stays where the program put it, with the reason."""
    rows = [
        {"path": part.path, "kind": part.kind, "reason": part.reason} for part in found.immovable
    ]
    rows += [
        {"path": path, "kind": "module", "reason": why}
        for path, module in found.roots
        if not any(module is other for other in moved.values())
    ]
    beside = moved.get("beside the modules")
    paths = beside.paths if isinstance(beside, TensorsBeside) else []
    rows += [
        {"path": path, "kind": "tensor", "reason": f"stays on {tensor.device}"}
        for path, tensor in found.tensors
        if path not in paths
    ]
    return rows


def _bytes(module: nn.Module) -> int:
    tensors = {id(t): t for t in (*module.parameters(), *module.buffers())}
    return sum(t.numel() * t.itemsize for t in tensors.values())
