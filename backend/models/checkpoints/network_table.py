"""Where the networks of components are written, by names, so that only what is used is imported."""

from __future__ import annotations

from dataclasses import dataclass, replace

from backend.errors import UnknownTarget
from backend.models.checkpoints.checkpoint import Architecture


@dataclass(frozen=True)
class Network:
    """Where a network is written, and what its published tensors are like.

    Parameters
    ----------
    network : str
        Module and class, with a colon between.
    read_config : str
        Likewise, of the function that reads published parameters.
    weights : str
        Module with ``fold`` and ``upstream_shapes``.
    optional_prefixes : tuple of str
        Published tensors that the network can do without; they are not read.
    float32_prefixes : tuple of str
        Published tensors that stay float32 whatever the others are cast to.
    infer_config : str or None
        Of a function that reads off shapes what the published parameters may not tell.
    """

    network: str
    read_config: str
    weights: str
    optional_prefixes: tuple[str, ...] = ()
    float32_prefixes: tuple[str, ...] = ()
    infer_config: str | None = None


_SHAPES, _TRIPOSG = "backend.models.hunyuan3d", "backend.models.triposg"
_P3SAM, _XPART = "backend.models.p3sam", "backend.models.xpart"
_PAINT, _UPSCALING = "backend.models.hunyuan3d_paint", "backend.models.upscaling"
_MASK_TOKEN = "sonata.embedding.mask_token"  # noqa: S105
_FLUX = Network(
    f"{_SHAPES}.flux_denoiser:FluxDenoiser",
    f"{_SHAPES}.flux_config:FluxConfig.from_upstream",
    f"{_SHAPES}.flux_weights",
)
_PLAIN = Network(
    f"{_SHAPES}.plain_denoiser:PlainDenoiser",
    f"{_SHAPES}.plain_config:PlainConfig.from_upstream",
    f"{_SHAPES}.plain_weights",
)
_TRIPOSG_DENOISER = Network(
    f"{_SHAPES}.plain_denoiser:PlainDenoiser",
    f"{_TRIPOSG}.denoiser_weights:triposg_config",
    f"{_TRIPOSG}.denoiser_weights",
)
_VAE = Network(
    f"{_SHAPES}.shape_vae:ShapeVae",
    f"{_SHAPES}.shape_vae_config:ShapeVaeConfig.from_upstream",
    f"{_SHAPES}.shape_vae_weights",
    optional_prefixes=("encoder.", "pre_kl."),
    infer_config=f"{_SHAPES}.shape_vae_config:ShapeVaeConfig.from_shapes",
)
_CONDITIONER = Network(
    f"{_SHAPES}.conditioner:Conditioner",
    f"{_SHAPES}.conditioner:ConditionerConfig.from_upstream",
    f"{_SHAPES}.conditioner",
    optional_prefixes=("main_image_encoder.model.embeddings.mask_token",),
)
# The table of views is computed; a file may hold it all the same.
_MULTI_VIEW_CONDITIONER = replace(
    _CONDITIONER,
    optional_prefixes=(*_CONDITIONER.optional_prefixes, "main_image_encoder.view_embed"),
)
# Features of points are told apart by small differences, which fewer digits would lose.
_P3SAM_NETWORK = Network(
    f"{_P3SAM}.network:P3Sam",
    f"{_P3SAM}.config:P3SamConfig.from_upstream",
    f"{_P3SAM}.p3sam_weights",
    optional_prefixes=(_MASK_TOKEN,),
    float32_prefixes=("",),
)
_PART_DENOISER = Network(
    f"{_XPART}.denoiser:PartDenoiser",
    f"{_XPART}.denoiser_config:PartDenoiserConfig.from_upstream",
    f"{_XPART}.denoiser_weights",
)
# Both encoders are published as whole VAEs, of which encoding takes the first half.
_PART_CONDITIONER = Network(
    f"{_XPART}.part_conditioner:PartConditioner",
    f"{_XPART}.part_conditioner:PartConditionerConfig.from_upstream",
    f"{_XPART}.part_conditioner_weights",
    optional_prefixes=(
        f"seg_feat_encoder.{_MASK_TOKEN}",
        *(
            f"{encoder}.{half}."
            for encoder in ("geo_encoder.local_encoder", "obj_encoder")
            for half in ("pre_kl", "post_kl", "transformer", "geo_decoder")
        ),
    ),
    float32_prefixes=("seg_feat_encoder.",),
)
_PAINT_UNET = Network(
    f"{_PAINT}.paint_unet:PaintUnet",
    f"{_PAINT}.paint_config:PaintConfig.from_upstream",
    f"{_PAINT}.paint_weights",
    optional_prefixes=("unet_dual.", "unet.learned_text_clip_ref"),
    infer_config=f"{_PAINT}.paint_config:PaintConfig.from_shapes",
)
# It is published in one file with the network that paints, which holds its text.
_PAINT_REFERENCE = replace(
    _PAINT_UNET,
    network=f"{_PAINT}.reference_unet:ReferenceUnet",
    weights=f"{_PAINT}.reference_weights",
    optional_prefixes=tuple(
        f"unet.{name}"
        for name in (
            "conv_",
            "time_embedding.",
            "class_embedding.",
            "down_blocks.",
            "mid_block.",
            "up_blocks.",
            "image_proj_model_dino.",
            "learned_text_clip_gen",
            "learned_text_clip_albedo",
            "learned_text_clip_mr",
        )
    ),
)
_DELIGHT_UNET = Network(
    f"{_PAINT}.text_unet:TextUnet",
    f"{_PAINT}.unet_config:UnetConfig.from_upstream",
    f"{_PAINT}.text_unet_weights",
)
_PICTURE_VAE = Network(
    f"{_PAINT}.picture_vae:PictureVae",
    f"{_PAINT}.picture_vae_config:PictureVaeConfig.from_upstream",
    f"{_PAINT}.vae_weights",
    infer_config=f"{_PAINT}.picture_vae_config:PictureVaeConfig.from_shapes",
)
_DINOV2 = Network(
    "backend.models.dinov2:Dinov2",
    "backend.models.dinov2:Dinov2Config.for_crops",
    "backend.models.dinov2_weights",
    optional_prefixes=("embeddings.mask_token",),
)
# Older files hold the numbers of the positions as well.
_CLIP_TEXT = Network(
    "backend.models.clip_text:ClipText",
    "backend.models.clip_text:ClipTextConfig.from_upstream",
    "backend.models.clip_text_weights",
    optional_prefixes=("embeddings.position_ids",),
)
_UPSCALER = Network(
    f"{_UPSCALING}.rrdb:RrdbNet",
    f"{_UPSCALING}.rrdb_config:RrdbConfig.from_upstream",
    f"{_UPSCALING}.rrdb_weights",
    infer_config=f"{_UPSCALING}.rrdb_config:RrdbConfig.from_shapes",
)
_NETWORKS = {
    Architecture.FLUX_DENOISER: _FLUX,
    Architecture.PLAIN_DENOISER: _PLAIN,
    Architecture.TRIPOSG_DENOISER: _TRIPOSG_DENOISER,
    Architecture.SHAPE_VAE: _VAE,
    Architecture.CONDITIONER: _CONDITIONER,
    Architecture.MULTI_VIEW_CONDITIONER: _MULTI_VIEW_CONDITIONER,
    Architecture.TRIPOSG_CONDITIONER: _CONDITIONER,
    Architecture.P3SAM: _P3SAM_NETWORK,
    Architecture.PART_DENOISER: _PART_DENOISER,
    Architecture.PART_CONDITIONER: _PART_CONDITIONER,
    Architecture.PAINT_UNET: _PAINT_UNET,
    Architecture.PAINT_REFERENCE: _PAINT_REFERENCE,
    Architecture.DELIGHT_UNET: _DELIGHT_UNET,
    Architecture.PICTURE_VAE: _PICTURE_VAE,
    Architecture.DINOV2: _DINOV2,
    Architecture.CLIP_TEXT: _CLIP_TEXT,
    Architecture.UPSCALER: _UPSCALER,
}


def network_of(architecture: Architecture) -> Network:
    """Return where a network is written.

    Raises
    ------
    UnknownTarget
        It is not supported yet.
    """
    try:
        return _NETWORKS[architecture]
    except KeyError:
        raise UnknownTarget(f"The {architecture} is not supported yet.") from None
