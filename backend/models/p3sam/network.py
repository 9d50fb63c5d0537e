"""P3-SAM: features of points, and the heads that predict masks. Imports torch."""

from __future__ import annotations

from torch import nn

from backend.models.attention import Attend, plain_attention
from backend.models.p3sam.config import P3SamConfig
from backend.models.p3sam.mask_heads import MaskHeads
from backend.models.sonata.point_features import PointFeatures


class P3Sam(nn.Module):
    """All weights of P3-SAM; its parts are called one by one.

    Parameters
    ----------
    config : P3SamConfig
    attend : Attend
        Of the encoder.

    Source
    ------
    P3-SAM: Native 3D Part Segmentation (2025).
    """

    def __init__(self, config: P3SamConfig, attend: Attend = plain_attention) -> None:
        super().__init__()
        self.features = PointFeatures(config.features, attend)
        self.heads = MaskHeads(config.heads)
