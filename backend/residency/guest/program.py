"""The hosted program in its process: made by its factory, called, moved on and off the device."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from . import hooks
from .cached_methods import wrap
from .memory import figures, resident_bytes
from .module_roots import Survey, survey
from .stage_cache import StageCache
from .weights import CannotMove, MovableWeights, empty_cache


class NoDevice(Exception):
    """The program's own torch cannot use the GPU that the server uses."""


class Program:
    """A program of others and what is known of its weights.

    Parameters
    ----------
    order : mapping
        ``engine``, ``factory`` (``module:callable``), ``arguments``, ``path`` (folders),
        ``movable`` (``auto``, ``none`` or attribute paths), ``device`` (``cuda`` or ``cpu``),
        ``version``, ``cached`` (paths of methods), ``cache_dir``, ``cache_bytes``.
    """

    def __init__(self, order: Mapping[str, Any]) -> None:
        self._device = str(order["device"])
        sys.path[:0] = [str(folder) for folder in order["path"]]
        self.instance = _make(order["factory"], order["arguments"])
        self._torch = sys.modules.get("torch")
        self._check_device()
        self.survey = _chosen(survey(self.instance), order["movable"])
        self._obstacle = None if order["movable"] != "none" else "declared as not movable"
        self.weights = self._take_weights()
        self.resident_bytes = resident_bytes()
        self.not_cached = self._wrap_cached(order)

    def facts(self) -> dict[str, Any]:
        """Describe the program: what was found in it, and how large it is."""
        return {
            "weights_bytes": self._weights_bytes(),
            "resident_bytes": self.resident_bytes,
            "movable": self._obstacle is None,
            "obstacle": self._obstacle,
            "roots": [path or type(module).__name__ for path, module in self.survey.roots],
            "immovable": [[item.path, item.reason] for item in self.survey.immovable],
            "not_cached": self.not_cached,
            "python": sys.version.partition(" ")[0],
            "torch": getattr(self._torch, "__version__", None),
        }

    def call(self, method: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Call a method of the program."""
        return getattr(self.instance, method)(*args, **kwargs)

    def pin(self, pin_bytes: int) -> None:
        """Grant page-locked memory; it is taken when the weights first move."""
        if self.weights is not None:
            self.weights.pin_bytes = pin_bytes

    def to_device(self) -> None:
        """Bring the weights to the device; nothing moves where that is the processor."""
        if self.weights is None or self._torch is None:
            return
        device = self._torch.device("cuda", 0)
        try:
            self.weights.to_device(device)
        except RuntimeError:
            empty_cache(self._torch)
            raise

    def to_host(self) -> list[str]:
        """Take weights, caches and all that was declared off the device; returns faults."""
        faults = hooks.run_before_offload()
        if self.weights is not None:
            self.weights.to_host()
        if self._device == "cuda":
            empty_cache(self._torch)
        return faults

    def figures(self) -> dict[str, int]:
        """Return what is held now, in bytes."""
        pinned = self.weights.pinned_bytes if self.weights is not None else 0
        return {**figures(), "pinned": pinned}

    def _check_device(self) -> None:
        torch = self._torch
        if self._device == "cuda" and torch is not None and not torch.cuda.is_available():
            raise NoDevice(f"torch {torch.__version__} of this environment cannot use the GPU")

    def _take_weights(self) -> MovableWeights | None:
        """Lay the weights out for moving, where there is a device to move them to."""
        modules = [module for _, module in self.survey.roots]
        if self._obstacle is None and self.survey.immovable:
            self._obstacle = self._obstacle_of_survey()
        if self._obstacle is None and not modules and not self.survey.tensors:
            self._obstacle = "no torch module was found in it"
        if self._obstacle is not None or self._device != "cuda":
            return None
        try:
            tensors = [tensor for _, tensor in self.survey.tensors]
            weights = MovableWeights(self._torch, modules, tensors)
        except CannotMove as error:
            self._obstacle = str(error)
            return None
        empty_cache(self._torch)
        return weights

    def _obstacle_of_survey(self) -> str | None:
        """Say what makes the whole program stay or end; another runtime's memory is declared."""
        for item in self.survey.immovable:
            if item.kind != "foreign_runtime":
                return str(item.reason)
        return None

    def _weights_bytes(self) -> int:
        if self.weights is not None:
            return self.weights.size_bytes
        sizes: dict[int, int] = {}
        modules = [module for _, module in self.survey.roots]
        modules += [i.thing for i in self.survey.immovable if i.kind != "foreign_runtime"]
        tensors = [tensor for _, tensor in self.survey.tensors]
        for module in modules:
            tensors += [*module.parameters(), *module.buffers()]
        for tensor in tensors:
            sizes[tensor.data_ptr() or -id(tensor)] = tensor.numel() * tensor.element_size()
        return sum(sizes.values())

    def _wrap_cached(self, order: Mapping[str, Any]) -> list[str]:
        if not order["cached"] or not order["cache_dir"]:
            return []
        cache = StageCache(order["cache_dir"], order["cache_bytes"])
        return wrap(self.instance, order["cached"], cache, order["engine"], order["version"])


def _make(factory: str, arguments: Mapping[str, Any]) -> Any:
    """Import and call the factory."""
    module, _, name = factory.partition(":")
    made: Any = importlib.import_module(module)
    for part in name.split("."):
        made = getattr(made, part)
    return made(**arguments)


def _chosen(found: Survey, movable: Any) -> Survey:
    """Keep the roots whose paths were asked for; all with ``auto``.

    Raises
    ------
    AttributeError
        There is no module at a path.
    """
    if isinstance(movable, str):
        return found
    roots = [(path, module) for path, module in found.roots if path in movable]
    missing = sorted(set(movable) - {path for path, _ in roots})
    if missing:
        known = ", ".join(path or "(itself)" for path, _ in found.roots) or "none"
        raise AttributeError(f"no module at {', '.join(missing)}; modules were found at: {known}")
    return Survey(roots, [], found.immovable)
