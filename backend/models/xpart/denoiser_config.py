"""Sizes of the denoiser of X-Part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from backend.models.hunyuan3d.plain_config import PlainConfig

PUBLISHED_TOKENS = 1024
PUBLISHED_PART_ROWS = 50
PUBLISHED_CONTEXT_TOKENS = 4096
_NOT_BUILT = ("use_bbox_cond",)
_ALWAYS_BUILT = (
    "use_self_attention",
    "use_cross_attention",
    "use_cross_attention_2",
    "use_part_embed",
)


@dataclass(frozen=True)
class PartDenoiserConfig:
    """Size of a denoiser of all parts of an object at once.

    Parameters
    ----------
    trunk : PlainConfig
        Its ``context_channels`` are those of one token of the whole object.
    part_context_channels : int
        Channels of one token of a part.
    part_rows : int
        Of the table from which each part takes what tells it from the others.
    tokens : int
        Latent tokens of one part; no size of the network depends on it.

    Raises
    ------
    ValueError
        A size is not above 0.
    """

    trunk: PlainConfig
    part_context_channels: int
    part_rows: int = PUBLISHED_PART_ROWS
    tokens: int = PUBLISHED_TOKENS

    def __post_init__(self) -> None:
        for name in ("part_context_channels", "part_rows", "tokens"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be above 0")

    @property
    def for_part_context(self) -> PlainConfig:
        """The sizes of the attention from tokens to what is seen of their own part."""
        return replace(self.trunk, context_channels=self.part_context_channels)

    @classmethod
    def from_upstream(cls, params: Mapping[str, Any]) -> PartDenoiserConfig:
        """Read the parameters of a published model.

        Parameters
        ----------
        params : mapping
            ``params`` of its config.json. What is absent is taken as in the released model;
            entries that do not change the network are ignored.

        Raises
        ------
        KeyError
            A size is missing.
        ValueError
            The sizes do not fit together, or a part is asked for that no released model has.
        """
        asked = [name for name in _NOT_BUILT if params.get(name)]
        missing = [name for name in _ALWAYS_BUILT if not params.get(name, True)]
        for name in asked + missing:
            raise ValueError(f"{name} is {params[name]!r}, which no released model has")
        object_channels = int(params["encoder_hidden_dim"])
        return cls(
            trunk=PlainConfig.from_upstream({**params, "context_dim": object_channels}),
            part_context_channels=int(params["encoder_hidden2_dim"]),
            part_rows=int(params.get("valid_num", PUBLISHED_PART_ROWS)),
            tokens=int(params.get("input_size", PUBLISHED_TOKENS)),
        )


def key_bytes(
    config: PartDenoiserConfig,
    parts: int,
    item_bytes: int,
    context_tokens: int = PUBLISHED_CONTEXT_TOKENS,
) -> int:
    """Return the memory of the keys and values of one block, if it keeps them.

    Parameters
    ----------
    parts : int
        Each has a context of its own; that of the object is there once.
    item_bytes : int
        Of one number.
    context_tokens : int
        Of each context.

    Examples
    --------
    >>> round(key_bytes(X_PART, 10, 2) * X_PART.trunk.depth / 2**30, 2)
    7.22
    """
    contexts = parts + 1
    return contexts * context_tokens * 2 * config.trunk.width * item_bytes


X_PART = PartDenoiserConfig(
    trunk=PlainConfig(latent_channels=64, context_channels=1024, width=2048, heads=16, depth=21),
    part_context_channels=1024,
)
