"""The network that paints all views of an object at once. Imports torch and diffusers."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from backend.models.attention import Attend, plain_attention
from backend.models.hunyuan3d_paint.camera_index import REFERENCE_ROWS
from backend.models.hunyuan3d_paint.colour_block import ColourBlock
from backend.models.hunyuan3d_paint.dino_tokens import DinoTokens
from backend.models.hunyuan3d_paint.paint_config import PaintConfig, PaintKind
from backend.models.hunyuan3d_paint.paint_savings import ALL_SAVINGS, PaintSavings
from backend.models.hunyuan3d_paint.pbr_block import PbrBlock
from backend.models.hunyuan3d_paint.rotary import Rotation, rotation_of
from backend.models.hunyuan3d_paint.transformer_layers import BlockSight, ImageTransformer
from backend.models.hunyuan3d_paint.unet import Unet
from backend.models.hunyuan3d_paint.unet_layout import Transformer
from backend.models.hunyuan3d_paint.view_inputs import GuidanceRow, PreparedViews, ViewInputs


class PaintUnet(Unet):
    """A U-Net whose blocks look at the reference and at all views, for colour or for PBR.

    Source
    ------
    Hunyuan3D 2.0: Scaling Diffusion Models for High Resolution Textured 3D Assets Generation
    (2025); Hunyuan3D 2.1: From Images to High-Fidelity 3D Assets with Production-Ready PBR
    Material (2025).
    """

    def __init__(self, config: PaintConfig, attend: Attend = plain_attention) -> None:
        sizes = config.main_unet
        kind = PbrBlock if config.kind is PaintKind.PBR else ColourBlock

        def transformer(one: Transformer) -> nn.Module:
            return ImageTransformer(one, sizes.groups, kind(one, sizes.text_width, attend))

        super().__init__(sizes, transformer)
        self.config = config
        materials = len(config.materials)
        self.text = nn.Parameter(torch.zeros(materials, config.text_tokens, sizes.text_width))
        if config.camera_rows:
            self.cameras = nn.Parameter(torch.zeros(config.camera_rows, sizes.time_width))
        if config.dino_width:
            self.dino = DinoTokens(config.dino_width, sizes.text_width)

    def forward(self, latents: Tensor, timestep: Tensor, prepared: PreparedViews) -> Tensor:
        """Return the velocity for one row of guidance.

        Parameters
        ----------
        latents : Tensor, shape (materials * views, 4, height, width)
            In the dtype of the weights; all views of the first material come first.
        timestep : Tensor, shape (1,)
            As schedulers count. A tensor lets one recorded CUDA graph serve every step.
        prepared : PreparedViews

        Returns
        -------
        Tensor, shape and dtype of ``latents``
        """
        embedding = self.embedded(timestep)
        if prepared.cameras is not None:
            embedding = embedding + prepared.cameras
        images = torch.cat([latents, prepared.maps], dim=1)
        return self.answer(images, embedding, prepared.sights)

    def prepare(
        self, views: ViewInputs, row: GuidanceRow, savings: PaintSavings = ALL_SAVINGS
    ) -> PreparedViews:
        """Compute what does not change from step to step.

        Raises
        ------
        ValueError
            Something is missing that this kind of network takes, or the row is not for it.
        """
        self._check(views, row)
        maps = torch.cat([views.normals, views.positions], dim=1)
        cameras = None
        if views.cameras is not None:
            cameras = self.cameras.index_select(0, views.cameras + REFERENCE_ROWS)
        return PreparedViews(
            maps=maps.repeat(len(self.config.materials), 1, 1, 1),
            cameras=cameras,
            sights=self._sights(views, row, savings),
        )

    def _check(self, views: ViewInputs, row: GuidanceRow) -> None:
        is_pbr = self.config.kind is PaintKind.PBR
        if row is GuidanceRow.REFERENCE and not is_pbr:
            raise ValueError("only networks for PBR have a row with the reference alone")
        if is_pbr is (views.dino is None) or is_pbr is not bool(views.voxels):
            raise ValueError("networks for PBR, and only they, take dino and voxels")
        if is_pbr is (views.cameras is not None):
            raise ValueError("networks for colour, and only they, take cameras")
        if any(side % self.sizes.shrinking for side in views.normals.shape[-2:]):
            raise ValueError(f"sides of latents are multiples of {self.sizes.shrinking}")

    def _sights(
        self, views: ViewInputs, row: GuidanceRow, savings: PaintSavings
    ) -> tuple[BlockSight, ...]:
        text, dino = self._text(row, savings), self._dino_tokens(views, row, savings)
        is_blank = row is GuidanceRow.BLANK

        @cache
        def rotation(level: int, head_width: int) -> Rotation | None:
            return rotation_of(views.voxels[level], head_width) if views.voxels else None

        sights = []
        for one in self.layout.transformers:
            skips_reference = is_blank and savings.no_blank_reference
            sight = BlockSight(
                text=text,
                reference=None if skips_reference else views.reference[one.name],
                reference_scale=0.0 if is_blank else 1.0,
                dino=dino,
                rotation=rotation(one.level, one.width // one.heads),
            )
            sights.append(sight)
        if not savings.kept_keys:
            return tuple(sights)
        transformers = [one for one in self.modules() if isinstance(one, ImageTransformer)]
        kept = zip(transformers, sights, strict=True)
        return tuple(transformer.with_keys(sight) for transformer, sight in kept)

    def _text(self, row: GuidanceRow, savings: PaintSavings) -> Tensor | None:
        """Return the learned tokens; PBR has them without guidance too."""
        if row is not GuidanceRow.BLANK or self.config.kind is PaintKind.PBR:
            return self.text
        return None if savings.no_blank_text else torch.zeros_like(self.text)

    def _dino_tokens(
        self, views: ViewInputs, row: GuidanceRow, savings: PaintSavings
    ) -> Tensor | None:
        if views.dino is None:
            return None
        if row is not GuidanceRow.FULL and savings.few_blank_tokens:
            return self.dino.blank()
        is_seen = row is GuidanceRow.FULL
        tokens: Tensor = self.dino(views.dino if is_seen else torch.zeros_like(views.dino))
        return tokens
