"""Random networks with the parts of real ones: patches, a denoiser, a decoder of points."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from backend.engines.chosen_attention import chosen_attention
from backend.units import Clock

PICTURE_PX, PATCH_PX, PICTURE_CHANNELS = 128, 8, 4
CONTEXT_TOKENS = (PICTURE_PX // PATCH_PX) ** 2
LATENT_TOKENS, LATENT_CHANNELS = 256, 16
WIDTH, HEADS, LAYERS, EXPANSION = 96, 4, 3, 4
DECODER_WIDTH, DECODER_HEADS = 32, 2
FREQUENCIES = 5
TIME_CHANNELS = 64
SEED = 20_261


class Attend(nn.Module):
    """Attention of tokens over a context."""

    def __init__(self, width: int, heads: int, clock: Clock) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, width)
        self.to_kv = nn.Linear(width, 2 * width)
        self.mix = nn.Linear(width, width)
        self.attention = chosen_attention(clock)

    def forward(self, tokens: Tensor, context: Tensor) -> Tensor:
        """Map (batch, tokens, width) over (batch, context_tokens, width) to the first shape."""
        q = self._split(self.to_q(tokens))
        k, v = (self._split(part) for part in self.to_kv(context).chunk(2, dim=-1))
        mixed = self.attention(q, k, v).transpose(1, 2).reshape(tokens.shape)
        result: Tensor = self.mix(mixed)
        return result

    def _split(self, tokens: Tensor) -> Tensor:
        batch, count, width = tokens.shape
        return tokens.view(batch, count, self.heads, width // self.heads).transpose(1, 2)


class Block(nn.Module):
    """One layer of the denoiser; the time shifts and scales what enters it."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(3))
        self.own = Attend(WIDTH, HEADS, clock)
        self.across = Attend(WIDTH, HEADS, clock)
        self.grow = nn.Sequential(
            nn.Linear(WIDTH, EXPANSION * WIDTH), nn.GELU(), nn.Linear(EXPANSION * WIDTH, WIDTH)
        )
        self.modulate = nn.Linear(TIME_CHANNELS, 2 * WIDTH)

    def forward(self, flow: Tensor, context: Tensor, time: Tensor) -> Tensor:
        """Map (batch, 256, 96) to the same shape; ``time`` is (batch, 64)."""
        scale, shift = self.modulate(time)[:, None].chunk(2, dim=-1)
        entered = self.norms[0](flow) * (1 + scale) + shift
        flow = flow + self.own(entered, entered)
        flow = flow + self.across(self.norms[1](flow), context)
        grown: Tensor = self.grow(self.norms[2](flow))
        return flow + grown


class TinyDenoiser(nn.Module):
    """A velocity for latents, given patches of the picture."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.enter = nn.Linear(LATENT_CHANNELS, WIDTH)
        self.see = nn.Linear(PICTURE_CHANNELS * PATCH_PX**2, WIDTH)
        self.blocks = nn.ModuleList(Block(clock) for _ in range(LAYERS))
        self.leave = nn.Linear(WIDTH, LATENT_CHANNELS)

    def forward(self, latents: Tensor, patches: Tensor, time: Tensor) -> Tensor:
        """Map (batch, 256, 16), (batch, 256, 256) and times (batch,) to (batch, 256, 16)."""
        flow, context, waves = self.enter(latents), self.see(patches), time_waves(time)
        for block in self.blocks:
            flow = block(flow, context, waves)
        velocity: Tensor = self.leave(flow)
        return velocity


class TinyDecoder(nn.Module):
    """A bounded value for every point, given latents."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.enter = nn.Linear(3 + 6 * FREQUENCIES, DECODER_WIDTH)
        self.see = nn.Linear(LATENT_CHANNELS, DECODER_WIDTH)
        self.norm = nn.LayerNorm(DECODER_WIDTH)
        self.across = Attend(DECODER_WIDTH, DECODER_HEADS, clock)
        self.leave = nn.Sequential(
            nn.Linear(DECODER_WIDTH, 2 * DECODER_WIDTH), nn.GELU(), nn.Linear(2 * DECODER_WIDTH, 1)
        )

    def forward(self, points: Tensor, latents: Tensor) -> Tensor:
        """Map (1, n, 3) in [-1, 1] and (1, 256, 16) to (1, n) in (-1, 1)."""
        tokens = self.enter(point_waves(points))
        tokens = tokens + self.across(self.norm(tokens), self.see(latents))
        value: Tensor = torch.tanh(self.leave(tokens)[..., 0])
        return value


def patches_of(pictures: Tensor) -> Tensor:
    """Cut (batch, 4, 128, 128) into (batch, 256, 256) patches, row by row."""
    return functional.unfold(pictures, PATCH_PX, stride=PATCH_PX).transpose(1, 2)


def point_waves(points: Tensor) -> Tensor:
    """Fourier features: (..., 3) to (..., 33)."""
    scale = 2.0 ** torch.arange(FREQUENCIES, device=points.device)
    waves = (points[..., None] * scale).flatten(-2)
    return torch.cat([points, waves.sin(), waves.cos()], dim=-1)


def time_waves(time: Tensor) -> Tensor:
    """Fourier features of times from 0 to 1: (batch,) to (batch, 64)."""
    half = TIME_CHANNELS // 2
    angles = time[:, None] * 2.0 ** torch.linspace(0, 8, half, device=time.device)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def random_weights(network: nn.Module, seed: int = SEED) -> nn.Module:
    """Fill a network with normal weights of one over the root of their inputs, always the same."""
    source = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in network.parameters():
            if weight.dim() > 1:
                values = torch.randn(weight.shape, generator=source)
                weight.copy_(values / weight.shape[1] ** 0.5)
        for layer in network.modules():
            if isinstance(layer, nn.Linear):
                layer.bias.zero_()
    return network.eval().requires_grad_(False)
