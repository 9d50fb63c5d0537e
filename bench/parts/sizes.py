"""How large the networks and the inputs of the bench are, in the words of the published configs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

PATCH, SURFACE_CANDIDATES = 1024, 20
HEAD_CHANNELS = 64
SCALE_FACTOR = 1.0039506158752403


class Scale(StrEnum):
    """How large; only ``full`` has the published sizes."""

    TINY = "tiny"
    SMALL = "small"
    FULL = "full"


@dataclass(frozen=True)
class PartSizes:
    """Sizes of the networks, and what is asked of them.

    Parameters
    ----------
    points, prompts, prompt_batch : int
        Of the search for parts; the batch is that of the reference.
    samples, masks : int
        Points and masks of which labels and faces are made.
    channels, depths, heads : tuple of int
        Of each level of the encoder of points.
    feature_channels, width, inner_width : int
        Of a point, and of the two kinds of heads.
    parts : int
        That are completed.
    surface_points, context_tokens : int
        Of the surface of the object and of each part, and of what describes it.
    surface_width, surface_layers, vae_layers : int
        Of the encoder of surfaces, and of the decoder of latents, which is as wide.
    denoiser_width, denoiser_heads, denoiser_depth, expert_blocks : int
    latent_tokens : int
        Of one part.
    steps : int
        Of the trajectory that is timed.
    cells, coarsest_cells : int
        Of the decoded grid, along each side of the cube, and of its coarsest at least.
    mesh_faces : tuple of int
        Of the meshes that masks are carried over to, about.
    """

    points: int
    prompts: int
    prompt_batch: int
    samples: int
    masks: int
    channels: tuple[int, ...]
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    feature_channels: int
    width: int
    inner_width: int
    parts: int
    surface_points: int
    context_tokens: int
    surface_width: int
    surface_layers: int
    vae_layers: int
    denoiser_width: int
    denoiser_heads: int
    denoiser_depth: int
    expert_blocks: int
    latent_tokens: int
    steps: int
    cells: int
    coarsest_cells: int
    mesh_faces: tuple[int, ...]

    @property
    def sonata_params(self) -> dict[str, Any]:
        """The encoder of points."""
        return {
            "in_channels": 9,
            "enc_channels": self.channels,
            "enc_depths": self.depths,
            "enc_num_head": self.heads,
            "enc_patch_size": (PATCH,) * len(self.channels),
            "mlp_ratio": 4,
            "feat_dim": self.feature_channels,
        }

    @property
    def heads_params(self) -> dict[str, Any]:
        """The heads that predict masks."""
        return {
            "feat_dim": self.feature_channels,
            "hidden": self.width,
            "hidden2": self.inner_width,
        }

    @property
    def vae_params(self) -> dict[str, Any]:
        """The decoder of latents."""
        return self._vae_params(self.latent_tokens)

    @property
    def conditioner_params(self) -> dict[str, Any]:
        """The conditioner: two encoders of surfaces, and the encoder of points."""
        return {
            "vae_config": self._vae_params(self.context_tokens),
            "sonata_config": self.sonata_params,
            "feat_dim": self.feature_channels,
            "obj_dim": self.surface_width,
            "geo_dim": self.surface_width,
        }

    @property
    def denoiser_params(self) -> dict[str, Any]:
        """The denoiser of parts."""
        return {
            "input_size": self.latent_tokens,
            "in_channels": 64,
            "hidden_size": self.denoiser_width,
            "encoder_hidden_dim": self.surface_width,
            "encoder_hidden2_dim": self.surface_width,
            "depth": self.denoiser_depth,
            "num_heads": self.denoiser_heads,
            "qk_norm": True,
            "qkv_bias": False,
            "qk_norm_type": "rms",
            "use_part_embed": True,
            "valid_num": 50,
            "num_moe_layers": self.expert_blocks,
            "num_experts": 8,
            "moe_top_k": 2,
        }

    def _vae_params(self, tokens: int) -> dict[str, Any]:
        return {
            "num_latents": tokens,
            "embed_dim": 64,
            "num_freqs": 8,
            "include_pi": False,
            "heads": self.surface_width // HEAD_CHANNELS,
            "width": self.surface_width,
            "num_encoder_layers": self.surface_layers,
            "num_decoder_layers": self.vae_layers,
            "qkv_bias": False,
            "qk_norm": True,
            "scale_factor": SCALE_FACTOR,
            "geo_decoder_mlp_expand_ratio": 4,
            "geo_decoder_downsample_ratio": 1,
            "geo_decoder_ln_post": True,
            "point_feats": 4,
            "pc_size": self.surface_points,
            "pc_sharpedge_size": 0,
            "downsample_ratio": SURFACE_CANDIDATES,
        }


SIZES = {
    Scale.TINY: PartSizes(
        points=2000,
        prompts=40,
        prompt_batch=8,
        samples=2000,
        masks=40,
        channels=(16, 16, 32, 32, 48),
        depths=(1, 1, 1, 2, 1),
        heads=(1, 1, 2, 2, 3),
        feature_channels=32,
        width=32,
        inner_width=16,
        parts=2,
        surface_points=1280,
        context_tokens=64,
        surface_width=64,
        surface_layers=1,
        vae_layers=1,
        denoiser_width=64,
        denoiser_heads=2,
        denoiser_depth=3,
        expert_blocks=1,
        latent_tokens=48,
        steps=4,
        cells=64,
        coarsest_cells=31,
        mesh_faces=(2000,),
    ),
    Scale.SMALL: PartSizes(
        points=8000,
        prompts=32,
        prompt_batch=32,
        samples=100_000,
        masks=400,
        channels=(48, 96, 192, 384, 512),
        depths=(3, 3, 3, 12, 3),
        heads=(3, 6, 12, 24, 32),
        feature_channels=512,
        width=512,
        inner_width=256,
        parts=6,
        surface_points=20_480,
        context_tokens=1024,
        surface_width=256,
        surface_layers=4,
        vae_layers=4,
        denoiser_width=512,
        denoiser_heads=4,
        denoiser_depth=9,
        expert_blocks=3,
        latent_tokens=256,
        steps=6,
        cells=256,
        coarsest_cells=95,
        mesh_faces=(10_000, 100_000, 500_000),
    ),
    Scale.FULL: PartSizes(
        points=100_000,
        prompts=400,
        prompt_batch=32,
        samples=100_000,
        masks=400,
        channels=(48, 96, 192, 384, 512),
        depths=(3, 3, 3, 12, 3),
        heads=(3, 6, 12, 24, 32),
        feature_channels=512,
        width=512,
        inner_width=256,
        parts=10,
        surface_points=81_920,
        context_tokens=4096,
        surface_width=1024,
        surface_layers=8,
        vae_layers=16,
        denoiser_width=2048,
        denoiser_heads=16,
        denoiser_depth=21,
        expert_blocks=6,
        latent_tokens=1024,
        steps=50,
        cells=512,
        coarsest_cells=95,
        mesh_faces=(10_000, 100_000, 500_000),
    ),
}
