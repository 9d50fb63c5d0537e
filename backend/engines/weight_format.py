"""In which numbers the networks of a shape keep their weights and compute. Imports torch."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from backend.gpu.choice import CPU
from backend.gpu.precision import Precision, PrecisionRules, torch_dtype
from backend.models.checkpoints.checkpoint import Component
from backend.settings import INT8_WEIGHTS, Settings

STAGE = "shape_generation"
# The weights were made for fp16; on a card, bf16 would only keep fewer digits of them.
_RULES = PrecisionRules({STAGE: {Precision.FP16}})


@dataclass(frozen=True)
class WeightFormat:
    """Number formats of the networks of one model.

    Parameters
    ----------
    network : torch.dtype
        Of image encoder and denoiser.
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


def weight_format(settings: Settings) -> WeightFormat:
    """Return the formats for the device of this process.

    A processor computes in fp32 unless bf16 is asked for, which many newer ones do faster.
    """
    is_int8 = settings.weights == INT8_WEIGHTS
    wanted = Precision(settings.precision)
    if settings.gpu != CPU and torch.cuda.is_available():
        capability = torch.cuda.get_device_capability()
        dtype = torch_dtype(_RULES.choose(STAGE, wanted, capability).precision)
        return WeightFormat(dtype, dtype, is_int8)
    network = torch.bfloat16 if wanted is Precision.BF16 else torch.float32
    return WeightFormat(network, torch.float32, is_int8)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
