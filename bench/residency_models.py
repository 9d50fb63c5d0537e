"""A transformer of random weights and of a given size, for the residency bench."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

VOCABULARY, CONTEXT, HEADS, EXPANSION = 256, 16, 8, 4


class Block(nn.Module):
    """One layer, built of modules that are all called, so that hooks on any level see them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm_in = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)
        self.norm_mid = nn.LayerNorm(width)
        self.up = nn.Linear(width, EXPANSION * width)
        self.down = nn.Linear(EXPANSION * width, width)

    def forward(self, flow: Tensor) -> Tensor:
        """Map (batch, tokens, width) to the same shape."""
        batch, tokens, width = flow.shape
        parts = self.qkv(self.norm_in(flow)).view(batch, tokens, 3, HEADS, width // HEADS)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        flow = flow + self.mix(mixed.transpose(1, 2).reshape(flow.shape))
        grown: Tensor = self.down(functional.gelu(self.up(self.norm_mid(flow))))
        return flow + grown


class RandomTransformer(nn.Module):
    """Embedding, equal blocks in a ``ModuleList``, head.

    Parameters
    ----------
    width, layers : int
        Numbers of channels and of blocks.
    """

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, width)
        self.positions = nn.Embedding(CONTEXT, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, VOCABULARY, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (batch, 16) int64 to logits (batch, 16, 256)."""
        place = torch.arange(tokens.shape[1], device=tokens.device)
        flow = self.embed(tokens) + self.positions(place)
        for block in self.blocks:
            flow = block(flow)
        logits: Tensor = self.head(self.norm(flow))
        return logits


def random_transformer(
    size_bytes: int, *, width: int, dtype: torch.dtype, seed: int
) -> RandomTransformer:
    """Build a network of about ``size_bytes`` on the CPU; the same seed gives the same weights."""
    block_bytes = sum(p.numel() for p in Block(width).parameters()) * dtype.itemsize
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = RandomTransformer(width, max(1, round(size_bytes / block_bytes)))
    return network.to(dtype).eval().requires_grad_(False)


def weight_bytes(network: nn.Module) -> int:
    """Sum of the sizes of all parameters."""
    return sum(p.numel() * p.itemsize for p in network.parameters())
