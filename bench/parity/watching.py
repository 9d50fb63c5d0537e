"""Sees what layers of a network are given and return. Imports torch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn


class Watch:
    """Collects what each of several layers returns, in the order in which they are called."""

    def __init__(self, layers: Iterable[nn.Module]) -> None:
        self._layers = tuple(layers)
        self._hooks: list[Any] = []
        self._seen: list[Any] = []

    def __enter__(self) -> list[Any]:
        for layer in self._layers:
            self._hooks.append(layer.register_forward_hook(self._note))
        return self._seen

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def _note(self, _layer: nn.Module, _given: Any, result: Any) -> None:
        self._seen.append(result)
