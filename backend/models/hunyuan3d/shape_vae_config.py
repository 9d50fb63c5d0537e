"""How large the shape decoder is: by its published settings or by the shapes of its tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

AXES = 3


@dataclass(frozen=True)
class GeoDecoderConfig:
    """Sizes of the geometry decoder, which tells of a point whether it is inside.

    Parameters
    ----------
    token_width : int
        Channels of the tokens that describe the shape.
    width, heads : int
        Of the decoder itself, which may be narrower.
    mlp_ratio : int
    frequencies : int
        Octaves of the Fourier features.
    include_pi : bool
        Whether the frequencies are multiples of pi.
    has_norm_out, has_head_norms : bool
        Whether the answer, and queries and keys, are normalised.
    qkv_bias : bool
    """

    token_width: int
    width: int
    heads: int
    mlp_ratio: int
    frequencies: int
    include_pi: bool
    has_norm_out: bool
    has_head_norms: bool
    qkv_bias: bool

    @property
    def feature_channels(self) -> int:
        """Coordinates, and the sine and cosine of each at every frequency."""
        return AXES * (1 + 2 * self.frequencies)


@dataclass(frozen=True)
class ShapeVaeConfig:
    """Sizes of the decoder from latents to a shape.

    Parameters
    ----------
    latent_channels : int
    width, heads, layers : int
        Of the transformer.
    has_head_norms, qkv_bias : bool
        Of the transformer.
    scale_factor : float
        Latents of the denoiser are so many times those of the decoder.
    geo : GeoDecoderConfig

    Source
    ------
    Zhang et al., 3DShape2VecSet (2023); Hunyuan3D 2.0 technical report (2025), ShapeVAE.
    """

    latent_channels: int
    width: int
    heads: int
    layers: int
    has_head_norms: bool
    qkv_bias: bool
    scale_factor: float
    geo: GeoDecoderConfig

    @classmethod
    def from_upstream(cls, params: Mapping[str, Any]) -> ShapeVaeConfig:
        """Read the ``vae`` section of a published config.yaml; unknown entries are ignored.

        Raises
        ------
        KeyError
            A size that differs between models is not told.
        """
        width, heads = int(params["width"]), int(params["heads"])
        narrower = int(params.get("geo_decoder_downsample_ratio", 1))
        has_norm_out = bool(params.get("geo_decoder_ln_post", True))
        has_head_norms = bool(params.get("qk_norm", True))
        qkv_bias = bool(params.get("qkv_bias", False))
        geo = GeoDecoderConfig(
            token_width=width,
            width=width // narrower,
            heads=heads // narrower,
            mlp_ratio=int(params.get("geo_decoder_mlp_expand_ratio", 4)),
            frequencies=int(params.get("num_freqs", 8)),
            include_pi=bool(params.get("include_pi", False)),
            has_norm_out=has_norm_out,
            has_head_norms=has_head_norms and has_norm_out,  # published: none or both
            qkv_bias=qkv_bias,
        )
        return cls(
            latent_channels=int(params["embed_dim"]),
            width=width,
            heads=heads,
            layers=int(params["num_decoder_layers"]),
            has_head_norms=has_head_norms,
            qkv_bias=qkv_bias,
            scale_factor=float(params["scale_factor"]),
            geo=geo,
        )

    @classmethod
    def from_shapes(
        cls, shapes: Mapping[str, Sequence[int]], params: Mapping[str, Any]
    ) -> ShapeVaeConfig:
        """Read sizes off published tensors, for files whose settings do not tell of the decoder.

        Parameters
        ----------
        shapes : mapping of published names to shapes
        params : mapping
            The published settings, for what no shape tells: ``scale_factor``, ``include_pi``, and
            ``heads`` where queries and keys are not normalised. All else in it is ignored.

        Raises
        ------
        KeyError
            A tensor that tells a size, or one of those settings, is missing.
        """
        width, latent_channels = shapes["post_kl.weight"]
        block = "transformer.resblocks.0.attn"
        head_norm = shapes.get(f"{block}.attention.q_norm.weight")
        heads = width // head_norm[0] if head_norm else int(params["heads"])
        return cls(
            latent_channels=latent_channels,
            width=width,
            heads=heads,
            layers=_layers(shapes),
            has_head_norms=head_norm is not None,
            qkv_bias=f"{block}.c_qkv.bias" in shapes,
            scale_factor=float(params["scale_factor"]),
            geo=_geo_from_shapes(shapes, width, heads, bool(params.get("include_pi", False))),
        )


def _layers(shapes: Mapping[str, Sequence[int]]) -> int:
    prefix = "transformer.resblocks."
    numbers = (name[len(prefix) :].split(".")[0] for name in shapes if name.startswith(prefix))
    return 1 + max(map(int, numbers))


def _geo_from_shapes(
    shapes: Mapping[str, Sequence[int]], token_width: int, heads: int, include_pi: bool
) -> GeoDecoderConfig:
    block = "geo_decoder.cross_attn_decoder"
    width = shapes["geo_decoder.output_proj.weight"][1]
    return GeoDecoderConfig(
        token_width=token_width,
        width=width,
        heads=heads * width // token_width,
        mlp_ratio=shapes[f"{block}.mlp.c_fc.weight"][0] // width,
        frequencies=(shapes["geo_decoder.query_proj.weight"][1] // AXES - 1) // 2,
        include_pi=include_pi,
        has_norm_out="geo_decoder.ln_post.weight" in shapes,
        has_head_norms=f"{block}.attn.attention.q_norm.weight" in shapes,
        qkv_bias=f"{block}.attn.c_q.bias" in shapes,
    )


HUNYUAN3D_20_VAE = ShapeVaeConfig.from_upstream(
    {
        "embed_dim": 64,
        "width": 1024,
        "heads": 16,
        "num_decoder_layers": 16,
        "scale_factor": 0.9990943042622529,
    }
)
"""As released; those of 2mini and 2.1 differ in the scale factor alone."""
