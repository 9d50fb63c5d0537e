"""What the blocks of the denoiser are told about time and guidance. Imports torch."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from backend.models.hunyuan3d.denoiser import row
from backend.models.hunyuan3d.flux_config import FluxConfig

EMBEDDING_CHANNELS = 256
LONGEST_PERIOD = 1000.0  # the weights were trained with it; the paper's is 10,000
TIME_FACTOR = 1000.0

DOUBLE_VECTORS = 6
SINGLE_VECTORS = 3
FINAL_VECTORS = 2


class FluxVectors(NamedTuple):
    """Shift, scale and gate of every layer, one row per step.

    Attributes
    ----------
    latents, context : tuple of Tensor, each of shape (rows, 6 * width)
        Of the two streams of each double block.
    joint : tuple of Tensor, each of shape (rows, 3 * width)
        Of each single block.
    final : Tensor, shape (rows, 2 * width)
        Shift and scale only.
    """

    latents: tuple[Tensor, ...]
    context: tuple[Tensor, ...]
    joint: tuple[Tensor, ...]
    final: Tensor

    def at(self, step: int | Tensor) -> FluxVectors:
        """Return one row, which then holds for the whole batch."""
        return FluxVectors(
            tuple(row(each, step) for each in self.latents),
            tuple(row(each, step) for each in self.context),
            tuple(row(each, step) for each in self.joint),
            row(self.final, step),
        )

    def to(self, like: Tensor) -> FluxVectors:
        """Return the same in the dtype and on the device of ``like``."""
        return FluxVectors(
            tuple(each.to(like) for each in self.latents),
            tuple(each.to(like) for each in self.context),
            tuple(each.to(like) for each in self.joint),
            self.final.to(like),
        )


class FluxModulations(nn.Module):
    """Embeds time and guidance and turns them into the vectors of all layers.

    It has 27 % of the weights of Hunyuan3D 2.0 and is not needed once a schedule is prepared, so
    it may live on another device than the rest.

    Source
    ------
    Peebles, Xie: Scalable Diffusion Models with Transformers (2023), adaptive layer norm.
    """

    def __init__(self, config: FluxConfig) -> None:
        super().__init__()
        width = config.width
        self.time_in = ScalarEmbedder(width)
        self.guidance_in = ScalarEmbedder(width) if config.has_guidance_input else None
        doubles, singles = range(config.double_blocks), range(config.single_blocks)
        self.latents = nn.ModuleList(nn.Linear(width, DOUBLE_VECTORS * width) for _ in doubles)
        self.context = nn.ModuleList(nn.Linear(width, DOUBLE_VECTORS * width) for _ in doubles)
        self.joint = nn.ModuleList(nn.Linear(width, SINGLE_VECTORS * width) for _ in singles)
        self.final = nn.Linear(width, FINAL_VECTORS * width)

    def check(self, has_guidance: bool) -> None:
        """Raise ValueError unless guidance is there exactly if the network takes it."""
        if has_guidance is (self.guidance_in is None):
            state = "takes no" if self.guidance_in is None else "needs a"
            raise ValueError(f"this denoiser {state} guidance input")

    def embedding(self, times: Tensor, guidance: Tensor | None) -> Tensor:
        """Embed times, and guidance where the network takes it.

        Parameters
        ----------
        times, guidance : Tensor, shape (rows,) float32

        Returns
        -------
        Tensor, shape (rows, width)

        Raises
        ------
        ValueError
            Guidance is missing, or there is no input for it.
        """
        self.check(guidance is not None)
        embedded: Tensor = self.time_in(times)
        if self.guidance_in is not None:
            embedded = embedded + self.guidance_in(guidance)
        return embedded

    def forward(self, times: Tensor, guidance: Tensor | None = None) -> FluxVectors:
        """Return the vectors of all layers at some times; parameters as for ``embedding``."""
        active = functional.silu(self.embedding(times, guidance))
        return FluxVectors(
            tuple(layer(active) for layer in self.latents),
            tuple(layer(active) for layer in self.context),
            tuple(layer(active) for layer in self.joint),
            self.final(active),
        )


class ScalarEmbedder(nn.Module):
    """Perceptron over the sinusoids of a number."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.in_layer = nn.Linear(EMBEDDING_CHANNELS, width)
        self.out_layer = nn.Linear(width, width)

    def forward(self, numbers: Tensor) -> Tensor:
        """Embed numbers of shape (rows,) float32 as (rows, width) in the dtype of the weights."""
        waves = sinusoids(numbers).to(self.in_layer.weight)
        embedded: Tensor = self.out_layer(functional.silu(self.in_layer(waves)))
        return embedded


def sinusoids(numbers: Tensor) -> Tensor:
    """Return cosines, then sines, of numbers at frequencies that fall geometrically.

    Parameters
    ----------
    numbers : Tensor, shape (rows,) float32
        In lower precision the fast waves would have arbitrary phases.

    Returns
    -------
    Tensor, shape (rows, 256) float32

    Source
    ------
    Vaswani et al., Attention Is All You Need (2017), section 3.5, with another longest period.
    """
    half = EMBEDDING_CHANNELS // 2
    powers = torch.arange(half, dtype=torch.float32, device=numbers.device)
    exponents = -math.log(LONGEST_PERIOD) * powers / half
    # exp in float64: in single precision its last bit differs between processors, and thousands
    # of radians multiply that; the exponents are rounded as they were when the weights were trained
    frequencies = torch.exp(exponents.double()).float()
    phases = (TIME_FACTOR * numbers.float())[:, None] * frequencies
    return torch.cat([phases.cos(), phases.sin()], dim=-1)
