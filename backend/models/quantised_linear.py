"""Linear layers with weights of 8 bits: a quarter of the memory of float32. Imports torch.

Products are computed as before, so that a call takes about as long. Rounding the inputs too, for
products of whole numbers, was tried with ``bench.shape.number_formats`` and was not faster.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from backend.progress import stop_if_asked

LEVELS = 127
FEWEST_WEIGHTS = 2**18  # smaller layers hold little memory


class Int8Linear(nn.Module):
    """A linear layer whose weights are whole numbers times one scale per output channel.

    Parameters
    ----------
    linear : nn.Linear
        Is read, and not kept but for its bias.

    Attributes
    ----------
    levels : Parameter, shape (outputs, inputs) int8
    scales : Parameter, shape (outputs,), in the dtype of the weights before

    Source
    ------
    Dettmers et al., LLM.int8(): 8-bit Matrix Multiplication for Transformers at Scale (2022),
    section 3.1, for the weights alone and without its outliers.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach()
        scales = weight.abs().amax(dim=1, keepdim=True).float().clamp(min=1e-12) / LEVELS
        levels = (weight / scales).round().to(torch.int8)
        self.levels = nn.Parameter(levels, requires_grad=False)
        self.scales = nn.Parameter(scales[:, 0].to(weight.dtype), requires_grad=False)
        self.bias = linear.bias

    @property
    def weight(self) -> Tensor:
        """The weights as they count, made anew."""
        return self.levels.to(self.scales.dtype) * self.scales[:, None]

    def forward(self, inputs: Tensor) -> Tensor:
        """Return what the layer did before, but for rounding."""
        outputs = functional.linear(inputs, self.levels.to(inputs.dtype)) * self.scales
        return outputs if self.bias is None else outputs + self.bias


def quantised(
    module: nn.Module,
    *,
    fewest_weights: int = FEWEST_WEIGHTS,
    kept: frozenset[str] = frozenset(),
) -> nn.Module:
    """Replace the large linear layers inside a module by such of 8 bits; returns the module.

    Parameters
    ----------
    kept : frozenset of str
        Names of modules directly inside it that stay as they are.

    Raises
    ------
    JobCanceled
        Nobody wants it any more; the module is of no use then.
    """
    for name, child in module.named_children():
        if name in kept:
            continue
        if isinstance(child, nn.Linear) and child.weight.numel() >= fewest_weights:
            stop_if_asked()  # the first touch of a mapped weight reads it from the disk
            setattr(module, name, Int8Linear(child))
        else:
            quantised(child, fewest_weights=fewest_weights)
    return module
