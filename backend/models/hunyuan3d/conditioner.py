"""From pictures to the context that a denoiser attends to. Imports torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from backend.models import dinov2_weights
from backend.models.attention import Attend, plain_attention
from backend.models.dinov2 import COLOUR_MEAN, COLOUR_STD, Dinov2, Dinov2Config

PREFIX = "main_image_encoder.model."


@dataclass(frozen=True)
class ConditionerConfig:
    """What describes the pictures.

    Parameters
    ----------
    encoder : Dinov2Config
    keeps_class_token : bool
        Whether the class token is part of the context.
    """

    encoder: Dinov2Config
    keeps_class_token: bool = True

    @classmethod
    def from_upstream(cls, params: Mapping[str, Any]) -> ConditionerConfig:
        """Read the published ``conditioner.params``.

        Raises
        ------
        KeyError
            An entry is missing; its published name.
        ValueError
            The encoder is none that is built here, or asks for positions between the trained ones.
        """
        published = params["main_image_encoder"]
        if not str(published["type"]).startswith("DinoImageEncoder"):
            raise ValueError(f"the image encoder {published['type']!r} is not known")
        kwargs = published["kwargs"]
        encoder = Dinov2Config.from_upstream(kwargs["config"])
        image_px = int(kwargs.get("image_size", encoder.image_px))
        if image_px != encoder.image_px:
            raise ValueError(f"pictures of {image_px} px for positions of {encoder.image_px} px")
        return cls(encoder, bool(kwargs.get("use_cls_token", True)))

    @property
    def tokens(self) -> int:
        """Context tokens of one picture."""
        return self.encoder.tokens - (not self.keeps_class_token)


class Conditioner(nn.Module):
    """DINOv2 on pictures as ``prepared_picture`` and ``prepared_views`` make them.

    Parameters
    ----------
    config : ConditionerConfig
    attend : Attend
        Computes attention.

    Source
    ------
    Zhao et al., Hunyuan3D 2.0: Scaling Diffusion Models for High Resolution Textured 3D Assets
    Generation (2025). The embedding of views: Vaswani et al., Attention Is All You Need (2017).
    """

    def __init__(self, config: ConditionerConfig, attend: Attend = plain_attention) -> None:
        super().__init__()
        self.config = config
        self.encoder = Dinov2(config.encoder, attend)

    def forward(self, pictures: Tensor, views: Sequence[int] | None = None) -> Tensor:
        """Describe one picture per item, or several views of it.

        Parameters
        ----------
        pictures : Tensor, shape (batch, 3, side, side), or (batch, views, 3, side, side) float32
            From -1 to 1.
        views : sequence of int, optional
            From which side each was taken; see ``View.place``. For models of several views, which
            need it for a single picture too.

        Returns
        -------
        Tensor, shape (batch, tokens, width), or (batch, views * tokens, width)
            In the dtype of the weights.

        Raises
        ------
        ValueError
            There are not as many views as pictures.
        """
        if views is None:
            return self._described(pictures)
        if pictures.dim() != 5 or pictures.shape[1] != len(views):
            raise ValueError(f"{len(views)} views for pictures of shape {tuple(pictures.shape)}")
        tokens = self._described(pictures.flatten(0, 1)).unflatten(0, pictures.shape[:2])
        embedding = view_embedding(views, tokens.shape[-1], tokens.device)
        context: Tensor = (tokens + embedding[:, None].to(tokens.dtype)).flatten(1, 2)
        return context

    def _described(self, pictures: Tensor) -> Tensor:
        pixels = encoder_pixels(pictures, self.config.encoder.image_px)
        tokens: Tensor = self.encoder(pixels.to(self.encoder.dtype))
        return tokens if self.config.keeps_class_token else tokens[:, 1:]


def encoder_pixels(pictures: Tensor, image_px: int) -> Tensor:
    """Scale and normalise pictures, all in float32.

    Parameters
    ----------
    pictures : Tensor, shape (batch, 3, side, side) float32
        From -1 to 1. They are square, so that the published centre crop cuts nothing off.
    image_px : int
        Side of the result.

    Returns
    -------
    Tensor, shape (batch, 3, image_px, image_px) float32

    Raises
    ------
    ValueError
        The pictures are not square.
    """
    height, width = pictures.shape[-2:]
    if height != width:
        raise ValueError(f"pictures of {width} x {height} px are not square")
    pixels = (pictures.float() + 1) / 2
    if height != image_px:
        pixels = functional.interpolate(
            pixels, size=(image_px, image_px), mode="bilinear", antialias=True
        )
    mean, std = (pixels.new_tensor(values)[:, None, None] for values in (COLOUR_MEAN, COLOUR_STD))
    return (pixels - mean) / std


def view_embedding(views: Sequence[int], width: int, device: torch.device) -> Tensor:
    """Return what is added to all tokens of each view: sines, then cosines, of its index.

    Returns
    -------
    Tensor, shape (views, width) float32
    """
    half = width // 2
    exponents = torch.arange(half, dtype=torch.float32, device=device) / half
    index = torch.tensor(views, dtype=torch.float32, device=device)
    angles = index[:, None] * torch.pow(10000.0, -exponents)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def fold(state: Mapping[str, Tensor], config: ConditionerConfig) -> dict[str, Tensor]:
    """Turn published weights into those of ``Conditioner``.

    Raises
    ------
    KeyError
        A tensor is missing; its published name.
    """
    inner = {key.removeprefix(PREFIX): state[key] for key in state if key.startswith(PREFIX)}
    try:
        folded = dinov2_weights.fold(inner, config.encoder)
    except KeyError as error:
        raise KeyError(PREFIX + str(error.args[0])) from None
    return {f"encoder.{name}": tensor for name, tensor in folded.items()}


def upstream_shapes(config: ConditionerConfig) -> dict[str, torch.Size]:
    """Return the published names and shapes."""
    inner = dinov2_weights.upstream_shapes(config.encoder)
    return {PREFIX + name: shape for name, shape in inner.items()}
