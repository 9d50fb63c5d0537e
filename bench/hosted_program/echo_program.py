"""A program to be hosted by the bench, alone in its folder; the child imports it without ours."""

from __future__ import annotations

from typing import Any


class Plain:
    """Does nothing, so that what remains is the way to it and back; needs no torch."""

    def nothing(self) -> None:
        """Do nothing."""

    def take(self, data: Any) -> int:
        """Return one number for whatever is sent."""
        return len(data)


class Weighty(Plain):
    """The same with weights that are read from a file.

    Parameters
    ----------
    weights : str, optional
        A file of tensors written by torch.
    """

    def __init__(self, weights: str = "") -> None:
        import torch
        from torch import nn

        tensors = torch.load(weights) if weights else {"0": torch.zeros(16)}
        self.network = nn.ParameterDict({k: nn.Parameter(v) for k, v in tensors.items()})
        self._kept: dict[int, Any] = {}

    def give(self, count: int) -> Any:
        """Return ``count`` float32 numbers, made once."""
        import torch

        if count not in self._kept:
            self._kept[count] = torch.randn(count)
        return self._kept[count]

    def give_array(self, count: int) -> Any:
        """Return the same numbers as an array of numpy."""
        return self.give(count).numpy()
