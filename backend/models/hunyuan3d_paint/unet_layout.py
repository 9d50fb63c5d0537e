"""Which layers a U-Net has, level by level and by their published names."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from backend.models.hunyuan3d_paint.unet_config import UnetConfig


@dataclass(frozen=True)
class Transformer:
    """Sizes of the attention that follows a resnet.

    Parameters
    ----------
    name : str
        By which features of the reference are called: ``down_0_1_0``, ``mid_0_0``, ``up_3_2_0``.
    width, heads : int
    level : int
        0 for the finest. Every level has a quarter of the tokens of the one before.
    """

    name: str
    width: int
    heads: int
    level: int


@dataclass(frozen=True)
class Level:
    """Layers between two changes of size.

    Parameters
    ----------
    name : str
        As published: ``down_blocks.0``, ``mid_block``, ``up_blocks.3``.
    resnets : tuple of (int, int)
        Channels in and out of each.
    transformers : tuple of Transformer
        The first follows the first resnet and so on; empty without attention.
    resampled : str
        Published name of what changes the size afterwards; empty if nothing does.
    """

    name: str
    resnets: tuple[tuple[int, int], ...]
    transformers: tuple[Transformer, ...]
    resampled: str = ""

    @property
    def width(self) -> int:
        """Channels of what comes out."""
        return self.resnets[-1][1]


@dataclass(frozen=True)
class UnetLayout:
    """All levels of a U-Net."""

    config: UnetConfig

    @cached_property
    def down(self) -> tuple[Level, ...]:
        """Levels on the way down."""
        widths, layers = self.config.widths, self.config.layers_per_level
        coarsest = len(widths) - 1
        return tuple(
            Level(
                f"down_blocks.{number}",
                ((widths[max(number - 1, 0)], width), *((width, width),) * (layers - 1)),
                self._transformers("down", number, number, layers),
                "downsamplers.0.conv" if number < coarsest else "",
            )
            for number, width in enumerate(widths)
        )

    @cached_property
    def middle(self) -> Level:
        """The middle, whose attention is between its two resnets."""
        width, level = self.config.widths[-1], len(self.config.widths) - 1
        transformer = Transformer("mid_0_0", width, self.config.heads[-1], level)
        return Level("mid_block", ((width, width),) * 2, (transformer,))

    @cached_property
    def up(self) -> tuple[Level, ...]:
        """Levels on the way up; their resnets also take in what the way down has left."""
        widths = self.config.widths
        left = [widths[0]]
        for level in self.down:
            left += [out for _, out in level.resnets]
            left += [level.width] if level.resampled else []
        levels, width = [], widths[-1]
        for number, level_number in enumerate(reversed(range(len(widths)))):
            resnets = []
            for _ in range(self.config.layers_per_level + 1):
                resnets.append((width + left.pop(), widths[level_number]))
                width = widths[level_number]
            transformers = self._transformers("up", number, level_number, len(resnets))
            resampled = "upsamplers.0.conv" if level_number else ""
            levels.append(Level(f"up_blocks.{number}", tuple(resnets), transformers, resampled))
        return tuple(levels)

    @cached_property
    def levels(self) -> tuple[Level, ...]:
        """All, in the order in which they compute."""
        return (*self.down, self.middle, *self.up)

    @cached_property
    def transformers(self) -> tuple[Transformer, ...]:
        """All, in the order in which they compute."""
        return tuple(one for level in self.levels for one in level.transformers)

    def _transformers(
        self, way: str, number: int, level: int, layers: int
    ) -> tuple[Transformer, ...]:
        if not self.config.attends[level]:
            return ()
        width, heads = self.config.widths[level], self.config.heads[level]
        return tuple(
            Transformer(f"{way}_{number}_{layer}_0", width, heads, level) for layer in range(layers)
        )
