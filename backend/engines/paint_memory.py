"""What painting needs on the device beside the weights of one network at a time.

Bounds, not measurements: counted tensor by tensor at the published sizes, see
``tests/engines/test_paint_memory.py``. The residency manager promises so much to a lease, so that
other models leave in time. Attention is counted as done without a table of its weights, but for
that of the autoencoder, whose one head is too wide for some ways of doing it.
"""

from __future__ import annotations

from dataclasses import dataclass

from backend.models.hunyuan3d_paint.paint_config import DINO_TOKENS_PER_PATCH, PaintConfig
from backend.models.hunyuan3d_paint.picture_vae_config import PictureVaeConfig
from backend.models.hunyuan3d_paint.unet_config import UnetConfig
from backend.models.upscaling.rrdb_config import RrdbConfig

FLOAT32_BYTES = 4
DINO_PATCHES = 257
# Numbers per token of the finest level, in widths of it; 31 were counted.
UNET_WIDTHS = 36
# Per token of the reference, in widths of each transformer: itself, its keys, and its values,
# twice as many where there are two materials.
REFERENCE_WIDTHS, REFERENCE_KEY_WIDTHS = 1, 3
TEXT_ROWS = 2
# Numbers per pixel of a picture, in widths of the second level, which is the widest at full size.
ENCODE_WIDTHS, DECODE_WIDTHS = 3, 4
# Numbers per pixel of the enlarged picture, in widths.
UPSCALE_WIDTHS = 3
UPSCALING = 4


@dataclass(frozen=True)
class PaintPlan:
    """How the network that paints is followed.

    Parameters
    ----------
    keeps_keys : bool
        Keys and values of what does not change are kept from step to step; changes no result.
    extra_bytes : int
        Memory beside the weights.
    """

    keeps_keys: bool
    extra_bytes: int


@dataclass(frozen=True)
class PaintWork:
    """What is painted.

    Parameters
    ----------
    config : PaintConfig
    views : int
    references : int
        Pictures of the object.
    latent_px : int
        Side of the latents.
    item_bytes : int
        Of one number.
    """

    config: PaintConfig
    views: int
    references: int
    latent_px: int
    item_bytes: int

    def plan(self, room_bytes: int) -> PaintPlan:
        """Keep keys where there is room for them.

        Parameters
        ----------
        room_bytes : int
            On the device beside the weights. The plan needs more where it does not suffice even
            without keys.
        """
        least = self.call_bytes + self._of_references(REFERENCE_WIDTHS)
        most = least + self.key_bytes
        keeps_keys = most <= room_bytes
        return PaintPlan(keeps_keys, most if keeps_keys else least)

    @property
    def call_bytes(self) -> int:
        """Memory of one call for one row of guidance."""
        images = self.views * len(self.config.materials)
        return unet_bytes(self.config.unet, images, self.latent_px, self.item_bytes)

    @property
    def key_bytes(self) -> int:
        """Memory of the keys that are kept; the row without guidance keeps none of references."""
        unet = self.config.unet
        texts = len(self.config.materials) * self.config.text_tokens
        described = DINO_TOKENS_PER_PATCH * DINO_PATCHES if self.config.dino_width else 0
        tokens = TEXT_ROWS * texts + described
        of_texts = 2 * tokens * _transformers(unet) * sum(unet.widths) * self.item_bytes
        return of_texts + self._of_references(REFERENCE_KEY_WIDTHS)

    def _of_references(self, widths: int) -> int:
        """Memory of so many widths for each token of the pictures of the reference."""
        unet = self.config.unet
        numbers = sum(
            width * (self.latent_px >> level) ** 2 for level, width in enumerate(unet.widths)
        )
        return numbers * _transformers(unet) * self.references * widths * self.item_bytes


def unet_bytes(config: UnetConfig, images: int, latent_px: int, item_bytes: int) -> int:
    """Memory of one call of a U-Net on so many images.

    >>> from backend.models.hunyuan3d_paint.unet_config import STABLE_DIFFUSION_21
    >>> round(unet_bytes(STABLE_DIFFUSION_21, 12, 64, 2) / 1e9, 2)
    1.13
    """
    return images * latent_px**2 * config.widths[0] * UNET_WIDTHS * item_bytes


def encode_bytes(config: PictureVaeConfig, side_px: int, item_bytes: int) -> int:
    """Memory of encoding one picture."""
    return _vae_bytes(config, side_px, item_bytes, ENCODE_WIDTHS)


def decode_bytes(config: PictureVaeConfig, side_px: int, item_bytes: int) -> int:
    """Memory of decoding one picture."""
    return _vae_bytes(config, side_px, item_bytes, DECODE_WIDTHS)


def upscale_bytes(config: RrdbConfig, side_px: int, item_bytes: int) -> int:
    """Memory of enlarging one picture with sides of so many pixels."""
    return (UPSCALING * side_px) ** 2 * config.width * UPSCALE_WIDTHS * item_bytes


def _vae_bytes(config: PictureVaeConfig, side_px: int, item_bytes: int, widths: int) -> int:
    pixels = side_px**2 * config.widths[min(1, len(config.widths) - 1)] * widths * item_bytes
    tokens = (side_px // config.shrinking) ** 2
    return pixels + tokens**2 * (FLOAT32_BYTES + item_bytes)


def _transformers(config: UnetConfig) -> int:
    """Count those of a level, on the way down and up."""
    return 2 * config.layers_per_level + 1
