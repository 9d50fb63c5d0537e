"""Pictures to latents and back. Imports torch and diffusers."""

from __future__ import annotations

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor, nn

from backend.models.attention import Attend, plain_attention
from backend.models.hunyuan3d_paint.picture_vae_config import PictureVaeConfig


class PictureVae(nn.Module):
    """The autoencoder of Stable Diffusion, one picture at a time.

    Parameters
    ----------
    config : PictureVaeConfig
    attend : Attend
        Not used: its one attention has a single wide head, which torch computes as it chooses.

    Source
    ------
    Rombach et al., High-Resolution Image Synthesis with Latent Diffusion Models (2022).
    """

    def __init__(self, config: PictureVaeConfig, attend: Attend = plain_attention) -> None:
        super().__init__()
        levels = len(config.widths)
        self.config = config
        self.network = AutoencoderKL(
            in_channels=config.colours,
            out_channels=config.colours,
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
            block_out_channels=config.widths,
            layers_per_block=config.layers_per_level,
            latent_channels=config.latent_channels,
            norm_num_groups=config.groups,
            scaling_factor=config.scaling,
        )

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        found: torch.dtype = self.network.quant_conv.weight.dtype
        return found

    def encode(self, pictures: Tensor) -> Tensor:
        """Return the latents of pictures.

        The original draws them from what the encoder takes for likely; this is its mean.

        Parameters
        ----------
        pictures : Tensor, shape (pictures, colours, height, width)
            From -1 to 1, in the dtype of the weights; sides are multiples of
            ``config.shrinking``.

        Returns
        -------
        Tensor, shape (pictures, latent_channels, height / shrinking, width / shrinking)
        """
        means = [self.network.encode(one[None]).latent_dist.mean for one in pictures]
        return torch.cat(means) * self.config.scaling

    def decode(self, latents: Tensor) -> Tensor:
        """Return the pictures of latents, roughly from -1 to 1; shapes as for ``encode``."""
        return torch.cat([self.decode_one(one) for one in latents])

    def decode_one(self, latents: Tensor) -> Tensor:
        """Return one picture, shape (1, colours, height, width).

        Parameters
        ----------
        latents : Tensor, shape (latent_channels, height, width)
        """
        picture: Tensor = self.network.decode(latents[None] / self.config.scaling).sample
        return picture

    def use_tiles(self, is_wanted: bool = True) -> None:
        """Compute large pictures tile by tile: less memory, and seams that may be seen."""
        self.network.use_tiling = is_wanted
