"""Sizes of P3-SAM."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backend.models.sonata.config import SONATA, SonataConfig

MASKS = 3
"""Masks of different size that are predicted for each prompt."""


@dataclass(frozen=True)
class HeadsConfig:
    """Size of the perceptrons that predict masks.

    Parameters
    ----------
    feature_channels : int
        Of a point's features.
    width : int
        Hidden channels where masks are first predicted.
    inner_width : int
        Hidden channels where they are refined and judged.

    Raises
    ------
    ValueError
        A size is below 1.
    """

    feature_channels: int = 512
    width: int = 512
    inner_width: int = 256

    def __post_init__(self) -> None:
        if min(self.feature_channels, self.width, self.inner_width) < 1:
            raise ValueError(f"{self} has a size below 1")

    @property
    def first_channels(self) -> int:
        """Outputs of the first layers of all perceptrons that see points."""
        return MASKS * self.width + (1 + MASKS + 1) * self.inner_width

    @classmethod
    def from_upstream(cls, params: Mapping[str, Any]) -> HeadsConfig:
        """Read the parameters of a published model.

        Raises
        ------
        KeyError
            A size is missing.
        ValueError
            A size is below 1.
        """
        return cls(int(params["feat_dim"]), int(params["hidden"]), int(params["hidden2"]))


@dataclass(frozen=True)
class P3SamConfig:
    """Size of the network that gives features to points, and of the heads that use them.

    Raises
    ------
    ValueError
        The one does not give what the others take.
    """

    features: SonataConfig
    heads: HeadsConfig

    def __post_init__(self) -> None:
        given, taken = self.features.out_channels, self.heads.feature_channels
        if given != taken:
            raise ValueError(f"{given} features per point, but the heads take {taken}")

    @classmethod
    def from_upstream(cls, params: Mapping[str, Any]) -> P3SamConfig:
        """Read the parameters of a published model.

        Parameters
        ----------
        params : mapping
            ``sonata`` as in its sonata.json, and the sizes of the heads.

        Raises
        ------
        KeyError
            A size is missing.
        ValueError
            The sizes do not fit together.
        """
        heads = HeadsConfig.from_upstream(params)
        features = SonataConfig.from_upstream(params["sonata"], heads.feature_channels)
        return cls(features, heads)


P3SAM = P3SamConfig(SONATA, HeadsConfig())
