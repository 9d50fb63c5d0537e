"""The sizes of P3-SAM and X-Part as published, for descriptions that do not tell them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

SONATA_SIZES: Mapping[str, Any] = MappingProxyType(
    {
        "in_channels": 9,
        "enc_depths": (3, 3, 3, 12, 3),
        "enc_channels": (48, 96, 192, 384, 512),
        "enc_num_head": (3, 6, 12, 24, 32),
        "enc_patch_size": (1024,) * 5,
        "mlp_ratio": 4,
    }
)
P3SAM_SIZES: Mapping[str, Any] = MappingProxyType(
    {"sonata": SONATA_SIZES, "feat_dim": 512, "hidden": 512, "hidden2": 256}
)
DENOISER_SIZES: Mapping[str, Any] = MappingProxyType(
    {
        "input_size": 1024,
        "in_channels": 64,
        "hidden_size": 2048,
        "encoder_hidden_dim": 1024,
        "encoder_hidden2_dim": 1024,
        "depth": 21,
        "num_heads": 16,
        "qk_norm": True,
        "qk_norm_type": "rms",
        "qkv_bias": False,
        "use_part_embed": True,
        "valid_num": 50,
        "num_moe_layers": 6,
        "num_experts": 8,
        "moe_top_k": 2,
    }
)
VAE_SIZES: Mapping[str, Any] = MappingProxyType(
    {
        "num_latents": 1024,
        "embed_dim": 64,
        "num_freqs": 8,
        "include_pi": False,
        "heads": 16,
        "width": 1024,
        "num_encoder_layers": 8,
        "num_decoder_layers": 16,
        "qkv_bias": False,
        "qk_norm": True,
        "scale_factor": 1.0039506158752403,
        "geo_decoder_mlp_expand_ratio": 4,
        "geo_decoder_downsample_ratio": 1,
        "geo_decoder_ln_post": True,
        "point_feats": 4,
        "pc_size": 81_920,
        "pc_sharpedge_size": 0,
        "downsample_ratio": 20,
    }
)
CONDITIONER_SIZES: Mapping[str, Any] = MappingProxyType(
    {
        "sonata_config": SONATA_SIZES,
        "vae_config": MappingProxyType({**VAE_SIZES, "num_latents": 4096}),
        "feat_dim": 512,
        "obj_dim": 1024,
        "geo_dim": 1024,
    }
)
"""Of the outputs: what the denoiser takes of the object, and of each part."""
