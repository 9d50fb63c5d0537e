"""The denoiser of X-Part, which makes all parts of an object at once. Imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from backend.models.attention import Attend, plain_attention
from backend.models.hunyuan3d.denoiser import row
from backend.models.hunyuan3d.time_token_transformer import TimeTokenTransformer
from backend.models.xpart.denoiser_config import PartDenoiserConfig
from backend.models.xpart.part_block import BlockWay, Contexts, PartBlock, PartKeys

FAST_WAY = BlockWay()
PLAIN_WAY = BlockWay(sorted_experts=False)


@dataclass(frozen=True)
class PreparedParts:
    """What the calls of one schedule share; made by ``PartDenoiser.prepare``.

    Parameters
    ----------
    time_tokens : Tensor, shape (calls, width)
    part_tokens : Tensor, shape (parts, 1, width)
        What tells a part from the others, to be added to each of its tokens.
    contexts : Contexts or None
        For blocks without keys; None if all have them.
    keys : tuple of PartKeys
        Of the first blocks.
    way : BlockWay
    """

    time_tokens: Tensor
    part_tokens: Tensor
    contexts: Contexts | None
    keys: tuple[PartKeys, ...]
    way: BlockWay


pytree.register_dataclass(PreparedParts)


class PartDenoiser(TimeTokenTransformer):
    """A transformer over the latents of all parts, in which time is a token of each part.

    Where parts lie is known to it from what is seen of them alone: boxes are no input.

    Source
    ------
    X-Part: High Fidelity and Structure Coherent Shape Decomposition (2025).
    """

    def __init__(self, config: PartDenoiserConfig, attend: Attend = plain_attention) -> None:
        super().__init__(config.trunk, partial(PartBlock, config, attend))
        self.config = config
        self.part_table = nn.Parameter(torch.zeros(config.part_rows, config.trunk.width))

    def forward(self, latents: Tensor, prepared: PreparedParts, step: int | Tensor) -> Tensor:
        """Return the velocity at one of the times that were prepared.

        Parameters
        ----------
        latents : Tensor, shape (parts, tokens, latent_channels)
            In the dtype of the weights.
        prepared : PreparedParts
        step : int or Tensor of shape (1,) int64
            Index into the times. A tensor lets one recorded CUDA graph serve every step.

        Returns
        -------
        Tensor, shape and dtype of ``latents``
        """
        time_token = row(prepared.time_tokens, step)
        seen: list[PartKeys | Contexts] = [*prepared.keys]
        if prepared.contexts is not None:
            seen += [prepared.contexts] * (len(self.blocks) - len(seen))
        return self._answer(latents, time_token, prepared.part_tokens, seen, prepared.way)

    def velocity(
        self,
        latents: Tensor,
        times: Tensor,
        contexts: Contexts,
        part_rows: Tensor,
        way: BlockWay = PLAIN_WAY,
    ) -> Tensor:
        """Return the velocity with nothing prepared, as papers write it.

        Parameters
        ----------
        latents : Tensor, shape (parts, tokens, latent_channels)
        times : Tensor, shape (parts,) float32
            From 0 (noise) to 1 (data).
        contexts : Contexts
        part_rows : Tensor, shape (parts,) int64
        way : BlockWay
        """
        time_tokens = self.embed_times(times)[:, None]
        seen = [contexts] * len(self.blocks)
        return self._answer(latents, time_tokens, self._part_tokens(part_rows), seen, way)

    def prepare(
        self,
        object_context: Tensor,
        part_contexts: Tensor,
        times: Tensor,
        part_rows: Tensor,
        *,
        keys_for_blocks: int | None = None,
        way: BlockWay = FAST_WAY,
    ) -> PreparedParts:
        """Compute what does not change from call to call.

        Parameters
        ----------
        object_context : Tensor, shape (1 or parts, tokens, channels)
            In the dtype and on the device of the weights, as all that follows but the times.
        part_contexts : Tensor, shape (parts, tokens, channels)
        times : Tensor, shape (calls,) float32
            Of every call to come, from 0 (noise) to 1 (data).
        part_rows : Tensor, shape (parts,) int64
            Row of the table for each part; ``part_sampler.part_rows`` draws them.
        keys_for_blocks : int, optional
            Blocks, from the first on, that keep the keys and values of both contexts; all if
            absent. The others compute them at each call. ``key_bytes`` tells what one keeps.
        way : BlockWay
        """
        contexts = Contexts(object_context, part_contexts)
        keeping = len(self.blocks) if keys_for_blocks is None else max(keys_for_blocks, 0)
        return PreparedParts(
            time_tokens=self.embed_times(times),
            part_tokens=self._part_tokens(part_rows),
            contexts=contexts if keeping < len(self.blocks) else None,
            keys=tuple(
                cast("PartBlock", block).keys_of(contexts) for block in self.blocks[:keeping]
            ),
            way=way,
        )

    def _part_tokens(self, part_rows: Tensor) -> Tensor:
        return self.part_table.index_select(0, part_rows)[:, None]

    def _answer(
        self,
        latents: Tensor,
        time_tokens: Tensor,
        part_tokens: Tensor,
        seen: Sequence[PartKeys | Contexts],
        way: BlockWay,
    ) -> Tensor:
        given = [(contexts, way) for contexts in seen]
        return self._velocity(self.latent_in(latents) + part_tokens, time_tokens, given)
