"""How large the networks of the bench are, in the words of a published config.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

LATENT_CHANNELS = 64
PICTURE_PX = 518
HEAD_CHANNELS = 64
SCALE_FACTOR = 0.9990943042622529


class ModelName(StrEnum):
    """Which published model the networks are like."""

    V20 = "2.0"
    MINI = "mini"
    V21 = "2.1"


class Scale(StrEnum):
    """How large; only ``full`` has the published sizes."""

    TINY = "tiny"
    SMALL = "small"
    MIDDLE = "middle"
    FULL = "full"


@dataclass(frozen=True)
class Sizes:
    """Sizes of the networks, and what is asked of them.

    Parameters
    ----------
    width : int
        Channels of the denoiser.
    depth : int
        Double blocks of 2.0, all blocks of 2.1; 2.0 has twice as many single blocks.
    expert_blocks : int
        Of 2.1.
    latent_tokens : int
    vae_width, vae_layers : int
        Of the decoder from latents to a shape, and so of its geometry decoder.
    encoder_width, encoder_layers, encoder_px : int
    cells : tuple of int
        Grids that are decoded, along each side.
    whole_cells : int
        The grid that is decoded in full by every way.
    """

    model: ModelName
    width: int
    depth: int
    expert_blocks: int
    latent_tokens: int
    vae_width: int
    vae_layers: int
    encoder_width: int
    encoder_layers: int
    encoder_px: int = PICTURE_PX
    cells: tuple[int, ...] = (256, 384)
    whole_cells: int = 96

    @property
    def is_flux(self) -> bool:
        """Whether the denoiser is that of the 2.0 family."""
        return self.model is not ModelName.V21

    @property
    def denoiser_params(self) -> dict[str, Any]:
        """``model.params``."""
        if not self.is_flux:
            return {
                "in_channels": LATENT_CHANNELS,
                "context_dim": self.encoder_width,
                "hidden_size": self.width,
                "num_heads": self.width // (2 * HEAD_CHANNELS),
                "depth": self.depth,
                "num_moe_layers": self.expert_blocks,
                "num_experts": 8,
                "moe_top_k": 2,
            }
        return {
            "in_channels": LATENT_CHANNELS,
            "context_in_dim": self.encoder_width,
            "hidden_size": self.width,
            "mlp_ratio": 4.0,
            "num_heads": self.width // HEAD_CHANNELS,
            "depth": self.depth,
            "depth_single_blocks": 2 * self.depth,
            "axes_dim": [HEAD_CHANNELS],
            "theta": 10_000,
            "qkv_bias": True,
        }

    @property
    def vae_params(self) -> dict[str, Any]:
        """``vae.params``."""
        return {
            "num_latents": self.latent_tokens,
            "embed_dim": LATENT_CHANNELS,
            "num_freqs": 8,
            "include_pi": False,
            "heads": self.vae_width // HEAD_CHANNELS,
            "width": self.vae_width,
            "num_decoder_layers": self.vae_layers,
            "qkv_bias": False,
            "qk_norm": True,
            "scale_factor": SCALE_FACTOR,
            "geo_decoder_mlp_expand_ratio": 4,
            "geo_decoder_downsample_ratio": 1,
            "geo_decoder_ln_post": True,
        }

    @property
    def conditioner_params(self) -> dict[str, Any]:
        """``conditioner.params``; the giant encoder of 2.0 is gated, the large one of 2.1 not."""
        config = {
            "hidden_act": "gelu",
            "hidden_size": self.encoder_width,
            "image_size": self.encoder_px,
            "layer_norm_eps": 1e-6,
            "mlp_ratio": 4,
            "model_type": "dinov2",
            "num_attention_heads": self.encoder_width // HEAD_CHANNELS,
            "num_channels": 3,
            "num_hidden_layers": self.encoder_layers,
            "patch_size": 14,
            "qkv_bias": True,
            "use_swiglu_ffn": self.is_flux,
        }
        kwargs = {"config": config, "image_size": self.encoder_px}
        return {"main_image_encoder": {"type": "DinoImageEncoder", "kwargs": kwargs}}

    @property
    def upstream_config(self) -> dict[str, Any]:
        """A whole config.yaml of the 2.0 family."""
        package = "hy3dgen.shapegen"
        return {
            "model": _section(f"{package}.models.Hunyuan3DDiT", self.denoiser_params),
            "vae": _section(f"{package}.models.autoencoders.ShapeVAE", self.vae_params),
            "conditioner": _section(
                f"{package}.models.conditioner.SingleImageEncoder", self.conditioner_params
            ),
            "scheduler": _section(
                f"{package}.schedulers.FlowMatchEulerDiscreteScheduler",
                {"num_train_timesteps": 1000},
            ),
            "image_processor": _section(
                f"{package}.preprocessors.ImageProcessorV2", {"size": 512, "border_ratio": 0.15}
            ),
            "pipeline": _section(f"{package}.pipelines.Hunyuan3DDiTFlowMatchingPipeline", {}),
        }


def _section(target: str, params: dict[str, Any]) -> dict[str, Any]:
    return {"target": target, "params": params}


def sizes_of(model: ModelName, scale: Scale) -> Sizes:
    """Return the sizes of a model at a scale."""
    return _SIZES[scale][model]


_V20, _MINI, _V21 = ModelName
_SIZES = {
    Scale.TINY: {
        _V20: Sizes(_V20, 64, 1, 0, 96, 64, 1, 64, 1, 56, (48, 64), 32),
        _MINI: Sizes(_MINI, 64, 1, 0, 48, 64, 1, 64, 1, 56, (48, 64), 32),
        _V21: Sizes(_V21, 128, 3, 1, 96, 64, 1, 64, 1, 56, (48, 64), 32),
    },
    Scale.SMALL: {
        _V20: Sizes(_V20, 256, 4, 0, 1024, 128, 4, 384, 4),
        _MINI: Sizes(_MINI, 256, 2, 0, 512, 128, 4, 384, 4),
        _V21: Sizes(_V21, 256, 6, 2, 1024, 128, 4, 256, 4),
    },
    Scale.MIDDLE: {
        _V20: Sizes(_V20, 512, 8, 0, 1536, 256, 8, 768, 8),
        _MINI: Sizes(_MINI, 512, 4, 0, 512, 256, 8, 768, 8),
        _V21: Sizes(_V21, 1024, 12, 3, 2048, 256, 8, 512, 8),
    },
    Scale.FULL: {
        _V20: Sizes(_V20, 1024, 16, 0, 3072, 1024, 16, 1536, 40, whole_cells=256),
        _MINI: Sizes(_MINI, 1024, 8, 0, 512, 1024, 16, 1536, 40, whole_cells=256),
        _V21: Sizes(_V21, 2048, 21, 6, 4096, 1024, 16, 1024, 24, whole_cells=256),
    },
}
