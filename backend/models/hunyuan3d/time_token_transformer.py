"""What denoisers share that take time as a token. Imports torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from backend.models.hunyuan3d.mixture_of_experts import Perceptron
from backend.models.hunyuan3d.plain_blocks import layer_norm
from backend.models.hunyuan3d.plain_config import PlainConfig

LONGEST_PERIOD = 10_000.0


class TimeTokenTransformer(nn.Module):
    """Blocks with skip connections between latents that come in and velocities that go out.

    Parameters
    ----------
    trunk : PlainConfig
    block : callable
        Makes the block of a number. It takes tokens, what an earlier block has passed on or None,
        and what ``_velocity`` is given for it.
    """

    def __init__(self, trunk: PlainConfig, block: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.latent_channels = trunk.latent_channels
        self.time_in = Perceptron(trunk.width, trunk.mlp_width)
        self.latent_in = nn.Linear(trunk.latent_channels, trunk.width)
        self.blocks = nn.ModuleList(block(number) for number in range(trunk.depth))
        self.norm_out = layer_norm(trunk)
        self.out = nn.Linear(trunk.width, trunk.latent_channels)
        self._trunk = trunk

    def embed_times(self, times: Tensor) -> Tensor:
        """Turn times into tokens.

        Parameters
        ----------
        times : Tensor, shape (count,) float32
            From 0 (noise) to 1 (data).

        Returns
        -------
        Tensor, shape (count, width)
            In the dtype of the weights. What comes before the first layer is float32: half
            precision would move the phase of the sinusoids.
        """
        first, last = self._trunk.time_of_noise, self._trunk.time_of_data
        waves = sinusoids(first + (last - first) * times.float(), self._trunk.width)
        tokens: Tensor = self.time_in(waves.to(self.time_in.up.weight.dtype))
        return tokens

    def _velocity(
        self, embedded: Tensor, time_tokens: Tensor, given: Sequence[tuple[Any, ...]]
    ) -> Tensor:
        """Run the blocks.

        Parameters
        ----------
        embedded : Tensor, shape (batch, latent_tokens, width)
        time_tokens : Tensor, shape (1, width) or (batch, 1, width)
        given : sequence of tuple
            What each block takes beside tokens.

        Returns
        -------
        Tensor, shape (batch, latent_tokens, latent_channels)
        """
        time_tokens = time_tokens.expand(embedded.shape[0], 1, -1)
        tokens = torch.cat([time_tokens, embedded], dim=1)
        passed_on: list[Tensor] = []
        for number, block in enumerate(self.blocks):
            skip = passed_on.pop() if self._trunk.takes_skip(number) else None
            tokens = block(tokens, skip, *given[number])
            if self._trunk.passes_on(number):
                passed_on.append(tokens)
        predicted: Tensor = self.out(self.norm_out(tokens[:, 1:]))
        return predicted if self._trunk.velocity_sign > 0 else -predicted


def sinusoids(values: Tensor, width: int) -> Tensor:
    """Return sines and then cosines of values at frequencies that fall off geometrically.

    Parameters
    ----------
    values : Tensor, shape (count,) float32
    width : int
        Even.

    Returns
    -------
    Tensor, shape (count, width) float32

    Source
    ------
    Vaswani et al., Attention Is All You Need (2017), section 3.5.
    """
    half = width // 2
    numbers = torch.arange(half, dtype=torch.float32, device=values.device)
    angles = values[:, None] * torch.exp(numbers * (-math.log(LONGEST_PERIOD) / half))
    return torch.cat([angles.sin(), angles.cos()], dim=-1)
