"""DINOv2, which turns a picture into tokens that describe it. Imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from backend.models.attention import Attend, heads_of, joined_heads, plain_attention


@dataclass(frozen=True)
class Dinov2Config:
    """Sizes of the network.

    Parameters
    ----------
    width : int
        Channels of a token.
    layers, heads : int
    image_px : int
        Side of the picture that the positions were trained for.
    patch_px : int
        Side of the patch that becomes one token.
    mlp_ratio : int
        Nominal widening of the feed-forward part.
    is_gated : bool
        SwiGLU in place of GELU.
    norm_eps : float
    colours : int
    picture_px : int or None
        Side of the pictures that are given; that of the positions if None. The positions are
        resampled for it when weights are loaded.
    """

    width: int
    layers: int
    heads: int
    image_px: int = 518
    patch_px: int = 14
    mlp_ratio: int = 4
    is_gated: bool = False
    norm_eps: float = 1e-6
    colours: int = 3
    picture_px: int | None = None

    @classmethod
    def from_upstream(cls, params: Mapping[str, Any]) -> Dinov2Config:
        """Read the published configuration, which is that of the library transformers.

        Raises
        ------
        KeyError
            A size is missing; the published name.
        ValueError
            The network is of a kind that is not built here.
        """
        if params.get("hidden_act", "gelu") != "gelu":
            raise ValueError(f"hidden_act is {params['hidden_act']!r}; only 'gelu' is known")
        if not params.get("qkv_bias", True):
            raise ValueError("qkv_bias is false; only networks with it are known")
        return cls(
            width=int(params["hidden_size"]),
            layers=int(params["num_hidden_layers"]),
            heads=int(params["num_attention_heads"]),
            image_px=int(params["image_size"]),
            patch_px=int(params.get("patch_size", cls.patch_px)),
            mlp_ratio=int(params.get("mlp_ratio", cls.mlp_ratio)),
            is_gated=bool(params.get("use_swiglu_ffn", cls.is_gated)),
            norm_eps=float(params.get("layer_norm_eps", cls.norm_eps)),
            colours=int(params.get("num_channels", cls.colours)),
        )

    @classmethod
    def for_crops(cls, params: Mapping[str, Any]) -> Dinov2Config:
        """Read the published configuration, for pictures as ``dinov2_picture`` makes them.

        Raises
        ------
        KeyError, ValueError
            As ``from_upstream``.
        """
        config = cls.from_upstream(params)
        if CROP_PX % config.patch_px:
            raise ValueError(f"{CROP_PX} px are no multiple of patches of {config.patch_px} px")
        return replace(config, picture_px=CROP_PX)

    @property
    def given_px(self) -> int:
        """Side of the pictures that are given."""
        return self.picture_px or self.image_px

    @property
    def tokens(self) -> int:
        """Patches of a picture that is given, and the class token."""
        return 1 + (self.given_px // self.patch_px) ** 2

    @property
    def published_tokens(self) -> int:
        """Patches of a picture that the positions were trained for, and the class token."""
        return 1 + (self.image_px // self.patch_px) ** 2

    @property
    def hidden_width(self) -> int:
        """Channels inside the feed-forward part.

        A gated one has two thirds of them, as it has three matrices instead of two, rounded up
        to a multiple of 8.
        """
        full = self.width * self.mlp_ratio
        return (int(full * 2 / 3) + 7) // 8 * 8 if self.is_gated else full


CROP_PX = 224
# Of the colours of the pictures it was trained on, from 0 to 1.
COLOUR_MEAN = (0.485, 0.456, 0.406)
COLOUR_STD = (0.229, 0.224, 0.225)
DINOV2_LARGE = Dinov2Config(width=1024, layers=24, heads=16)
DINOV2_GIANT = Dinov2Config(width=1536, layers=40, heads=24, is_gated=True)


class Dinov2(nn.Module):
    """A vision transformer with scaled residual branches.

    Parameters
    ----------
    config : Dinov2Config
    attend : Attend
        Computes attention.

    Source
    ------
    Oquab et al., DINOv2: Learning Robust Visual Features without Supervision (2023), on the
    vision transformer of Dosovitskiy et al., An Image is Worth 16x16 Words (2020).
    """

    def __init__(self, config: Dinov2Config, attend: Attend = plain_attention) -> None:
        super().__init__()
        width, patch_px = config.width, config.patch_px
        self.config = config
        self.patches = nn.Conv2d(config.colours, width, patch_px, stride=patch_px)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.zeros(1, config.tokens, width))
        self.layers = nn.ModuleList(_Layer(config, attend) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width, config.norm_eps)

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        return self.class_token.dtype

    def forward(self, pixels: Tensor) -> Tensor:
        """Describe pictures.

        Parameters
        ----------
        pixels : Tensor, shape (batch, colours, given_px, given_px)
            Normalised, in the dtype of the weights.

        Returns
        -------
        Tensor, shape (batch, 1 + patches, width)
            The class token, then the patches row by row.

        Raises
        ------
        ValueError
            The pictures have another size than the positions.
        """
        side = self.config.given_px
        if pixels.shape[-2:] != (side, side):
            raise ValueError(f"pictures of {tuple(pixels.shape[-2:])}, not of {side} x {side}")
        patches = self.patches(pixels).flatten(2).transpose(1, 2)
        class_token = self.class_token.expand(len(pixels), -1, -1)
        tokens = torch.cat([class_token, patches], dim=1) + self.positions
        for layer in self.layers:
            tokens = layer(tokens)
        normed: Tensor = self.norm(tokens)
        return normed


class _Layer(nn.Module):
    """Self-attention and a feed-forward part, each with a learnt scale per channel."""

    def __init__(self, config: Dinov2Config, attend: Attend) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.attend = attend
        self.attention_norm = nn.LayerNorm(width, config.norm_eps)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.attention_scale = nn.Parameter(torch.ones(width))
        self.mlp_norm = nn.LayerNorm(width, config.norm_eps)
        self.mlp = _GatedMlp(config) if config.is_gated else _Mlp(config)
        self.mlp_scale = nn.Parameter(torch.ones(width))

    def forward(self, tokens: Tensor) -> Tensor:
        qkv = self.qkv(self.attention_norm(tokens))
        q, k, v = (heads_of(part, self.heads) for part in qkv.chunk(3, dim=-1))
        tokens = tokens + self.attention_scale * self.out(joined_heads(self.attend(q, k, v)))
        mixed: Tensor = tokens + self.mlp_scale * self.mlp(self.mlp_norm(tokens))
        return mixed


class _Mlp(nn.Module):
    def __init__(self, config: Dinov2Config) -> None:
        super().__init__()
        self.widen = nn.Linear(config.width, config.hidden_width)
        self.narrow = nn.Linear(config.hidden_width, config.width)

    def forward(self, tokens: Tensor) -> Tensor:
        narrowed: Tensor = self.narrow(functional.gelu(self.widen(tokens)))
        return narrowed


class _GatedMlp(nn.Module):
    """SwiGLU.

    Source
    ------
    Shazeer, GLU Variants Improve Transformer (2020).
    """

    def __init__(self, config: Dinov2Config) -> None:
        super().__init__()
        self.widen = nn.Linear(config.width, 2 * config.hidden_width)
        self.narrow = nn.Linear(config.hidden_width, config.width)

    def forward(self, tokens: Tensor) -> Tensor:
        gate, value = self.widen(tokens).chunk(2, dim=-1)
        narrowed: Tensor = self.narrow(functional.silu(gate) * value)
        return narrowed
