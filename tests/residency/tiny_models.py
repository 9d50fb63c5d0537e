"""Two small networks of random weights, for tests and benches; never offered to users."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn


class TinyTransformer(nn.Module):
    """A few encoder layers, with a weight used twice and a buffer that is no parameter."""

    def __init__(self, width: int = 64, layers: int = 3) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(width, 4, 4 * width, batch_first=True, dropout=0.0)
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.embed = nn.Embedding(32, width)
        self.head = nn.Linear(width, 32, bias=False)
        self.head.weight = self.embed.weight
        self.register_buffer("positions", torch.randn(1, 16, width))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Map tokens (batch, 16) int64 to logits (batch, 16, 32) float32."""
        return self.head(self.layers(self.embed(tokens) + self.positions))


class TinyConvolution(nn.Module):
    """Convolutions with batch statistics in buffers of two dtypes."""

    def __init__(self, channels: int = 32) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
            nn.GELU(),
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels),
            nn.Conv2d(channels, 3, 1),
        )

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        """Map pictures (batch, 3, height, width) float32 to the same shape."""
        return self.body(picture)


def seeded(build: Callable[[], nn.Module], seed: int = 0) -> Callable[[], nn.Module]:
    """Return a loader that makes the same network each time."""

    def load() -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return build().eval()

    return load


TINY_MODELS = {
    "tiny_transformer": (
        seeded(TinyTransformer),
        lambda: torch.arange(32).reshape(2, 16) % 32,
    ),
    "tiny_convolution": (
        seeded(TinyConvolution),
        lambda: torch.linspace(-1, 1, 2 * 3 * 8 * 8).reshape(2, 3, 8, 8),
    ),
}
