"""Makes the tiny models known to a server; torch is imported with the first that is loaded."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Protocol

from backend.residency.records import ModelSpec

if TYPE_CHECKING:
    from torch import nn

NAMES = ("tiny_transformer", "tiny_convolution")


class Registry(Protocol):
    """A manager, or a process's residency."""

    def register(self, spec: ModelSpec) -> None:
        """Make a model known."""


def register(registry: Registry) -> None:
    """Make the tiny models known, one that loads slowly and one whose file is damaged.

    A test server names this function.
    """
    for name in NAMES:
        registry.register(ModelSpec(name, partial(_load, name), title=name.replace("_", " ")))
    registry.register(ModelSpec("tiny_slow", _load_slowly))
    registry.register(ModelSpec("tiny_broken", _load_broken))


def _load(name: str) -> nn.Module:
    from tests.residency.tiny_models import TINY_MODELS

    return TINY_MODELS[name][0]()


def _load_slowly() -> nn.Module:
    time.sleep(2.0)
    return _load("tiny_convolution")


def _load_broken() -> nn.Module:
    raise OSError("the file is damaged")
