"""Sizes of the network that makes pictures larger."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_BLOCK = re.compile(r"body\.(\d+)\.")


@dataclass(frozen=True)
class RrdbConfig:
    """Sizes of the network; the published one has 16,697,987 parameters.

    Parameters
    ----------
    width : int
        Channels between blocks.
    growth : int
        Channels that each convolution of a dense block adds.
    blocks : int
    colours : int
    """

    width: int = 64
    growth: int = 32
    blocks: int = 23
    colours: int = 3

    def __post_init__(self) -> None:
        if min(self.width, self.growth, self.blocks, self.colours) < 1:
            raise ValueError(f"{self} has a size below 1")

    @classmethod
    def from_upstream(cls, params: Mapping[str, Any]) -> RrdbConfig:
        """Return the published sizes: the file comes without a description."""
        return cls(**{name: int(params[name]) for name in cls.__annotations__ if name in params})

    @classmethod
    def from_shapes(
        cls, shapes: Mapping[str, Sequence[int]], params: Mapping[str, Any]
    ) -> RrdbConfig:
        """Read the sizes off published tensors.

        Raises
        ------
        KeyError
            A tensor that tells one is missing.
        ValueError
            The network is of a kind that is not built here.
        """
        del params
        width, colours = shapes["conv_first.weight"][:2]
        # counted: the number in a name alone could ask for any amount of memory
        blocks = len({found[1] for name in shapes if (found := _BLOCK.match(name))})
        if not blocks:
            raise ValueError("there is no block")
        return cls(width, shapes["body.0.rdb1.conv1.weight"][0], blocks, colours)
