"""In which numbers the networks of a model keep their weights and compute. Imports torch."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from backend.engines.gpu_presence import has_gpu
from backend.gpu.precision import Precision, PrecisionRules, torch_dtype
from backend.models.checkpoints.catalogue import ModelKind
from backend.models.checkpoints.checkpoint import Component
from backend.settings import INT8_WEIGHTS, Settings

STAGE, PART_STAGE = "shape_generation", "part_completion"
PAINT_STAGE = "texture_synthesis"
# The weights of shapes were made for fp16; on a card, bf16 would only keep fewer digits of them.
# X-Part is published with bf16 in mind. Painted pictures differ eight times as much in bf16.
_RULES = PrecisionRules(
    {
        STAGE: {Precision.FP16},
        PART_STAGE: {Precision.BF16, Precision.FP16},
        PAINT_STAGE: {Precision.FP16},
    }
)
_STAGES = {
    ModelKind.SHAPE: STAGE,
    ModelKind.COMPLETION: PART_STAGE,
    ModelKind.TEXTURE: PAINT_STAGE,
    ModelKind.COMPANION: PAINT_STAGE,
}
_NEVER_INT8 = frozenset({ModelKind.TEXTURE, ModelKind.COMPANION})


@dataclass(frozen=True)
class WeightFormat:
    """Number formats of the networks of one model.

    Parameters
    ----------
    network : torch.dtype
        Of conditioner and denoiser, but for the features of points in it, which stay float32.
    decoder : torch.dtype
        Of the shape decoder, whose values are compared with 0.
    is_int8 : bool
        Large layers keep their weights in 8 bits, and compute in the formats above.
    """

    network: torch.dtype
    decoder: torch.dtype
    is_int8: bool = False

    def of(self, component: Component) -> torch.dtype:
        """Return the format of one network."""
        return self.decoder if component is Component.VAE else self.network

    @property
    def title(self) -> str:
        """For people.

        >>> WeightFormat(torch.float16, torch.float16).title
        'float16'
        >>> WeightFormat(torch.bfloat16, torch.float32, is_int8=True).title
        'bfloat16, decoder float32, weights int8'
        """
        parts = [_name(self.network)]
        if self.decoder is not self.network:
            parts.append(f"decoder {_name(self.decoder)}")
        if self.is_int8:
            parts.append("weights int8")
        return ", ".join(parts)


def weight_format(settings: Settings, kind: ModelKind = ModelKind.SHAPE) -> WeightFormat:
    """Return the formats for the device of this process.

    A processor computes in fp32 unless bf16 is asked for, which many newer ones do faster. What
    finds parts is fp32 everywhere. Neither that nor what paints is kept in 8 bits.
    """
    if kind is ModelKind.SEGMENTATION:
        return WeightFormat(torch.float32, torch.float32)
    is_int8 = settings.weights == INT8_WEIGHTS and kind not in _NEVER_INT8
    wanted = Precision(settings.precision)
    if has_gpu(settings):
        capability = torch.cuda.get_device_capability()
        dtype = torch_dtype(_RULES.choose(_STAGES[kind], wanted, capability).precision)
        # bf16 keeps too few digits near 0, and the decoder was made to run in fp16
        decoder = torch.float16 if dtype is torch.bfloat16 else dtype
        return WeightFormat(dtype, decoder, is_int8)
    network = torch.bfloat16 if wanted is Precision.BF16 else torch.float32
    return WeightFormat(network, torch.float32, is_int8)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
