"""The decoder from latents to a shape: a transformer over a set of tokens. Imports torch."""

from __future__ import annotations

from torch import Tensor, nn

from backend.models.attention import Attend, plain_attention
from backend.models.hunyuan3d.geo_decoder import GeoDecoder
from backend.models.hunyuan3d.shape_vae_config import ShapeVaeConfig
from backend.models.hunyuan3d.shape_vae_layers import GeoKeys, SelfBlock


class ShapeVae(nn.Module):
    """From latents to a field that is above 0 inside the shape and below 0 outside.

    The encoder is not part of it. ``backend.models.hunyuan3d.shape_vae_weights`` fits published
    weights to it.

    Parameters
    ----------
    config : ShapeVaeConfig
    attend : Attend

    Source
    ------
    Zhang et al., 3DShape2VecSet (2023); Hunyuan3D 2.0 technical report (2025), ShapeVAE.
    """

    def __init__(self, config: ShapeVaeConfig, attend: Attend = plain_attention) -> None:
        super().__init__()
        self.config = config
        self.transformer = LatentTransformer(config, attend)
        self.geo_decoder = GeoDecoder(config.geo, attend)

    def keys(self, latents: Tensor) -> GeoKeys:
        """Compute all that points are compared with, once per shape.

        Parameters
        ----------
        latents : Tensor, shape (batch, tokens, latent_channels)
            As the denoiser leaves them.
        """
        return self.geo_decoder.keys(self.transformer(latents))

    def forward(self, latents: Tensor, points: Tensor) -> Tensor:
        """Tell how far inside points are.

        Parameters
        ----------
        latents : Tensor, shape (batch, tokens, latent_channels)
        points : Tensor, shape (batch, points, 3) float32

        Returns
        -------
        Tensor, shape (batch, points) float32
        """
        answers: Tensor = self.geo_decoder(points, self.keys(latents))
        return answers


class LatentTransformer(nn.Module):
    """Lets the latents of a shape tell each other of it."""

    def __init__(self, config: ShapeVaeConfig, attend: Attend) -> None:
        super().__init__()
        self._scale_factor = config.scale_factor
        self.latents_in = nn.Linear(config.latent_channels, config.width)
        self.blocks = nn.ModuleList(SelfBlock(config, attend) for _ in range(config.layers))

    def forward(self, latents: Tensor) -> Tensor:
        """Return the tokens of a shape.

        Parameters
        ----------
        latents : Tensor, shape (batch, tokens, latent_channels)
            As the denoiser leaves them: they are divided by the scale factor here.

        Returns
        -------
        Tensor, shape (batch, tokens, width), in the dtype of the weights
        """
        latents = (latents.float() / self._scale_factor).to(self.latents_in.weight.dtype)
        tokens: Tensor = self.latents_in(latents)
        for block in self.blocks:
            tokens = block(tokens)
        return tokens
