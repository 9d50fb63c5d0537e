"""One context token that stands for many equal ones. Imports torch.

Equal keys and values share their weight in a softmax: n of them count as much as one whose logit
is raised by log n. Where nothing tells tokens apart, as in an unconditional pass of Hunyuan3D 2.0,
equal tokens stay equal through all layers, and one of them is enough.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from backend.models.attention import Attend

SPARE_CHANNELS = 8  # flash kernels want head widths that are multiples of 8


def key_raise(tokens: int, head_width: int, like: Tensor) -> Tensor:
    """Return what the key of a lone token holds in its spare channels.

    Parameters
    ----------
    tokens : int
        How many it stands for.
    head_width : int
        Channels of a head without the spare ones.
    like : Tensor
        Whose dtype and device are wanted.

    Returns
    -------
    Tensor, shape (8,)
        Its sum is log(tokens) * sqrt(head_width). One number of 16 bits would be off by up to
        0.8 % of the token's weight, so each channel holds what those before it have missed.
    """
    missing = math.log(tokens) * math.sqrt(head_width)
    parts: list[float] = []
    for _ in range(SPARE_CHANNELS):
        parts.append(torch.tensor(missing, dtype=like.dtype, device="cpu").item())
        missing -= parts[-1]
    return torch.tensor(parts, dtype=like.dtype, device=like.device)


def attend_raised(attend: Attend, q: Tensor, k: Tensor, v: Tensor, raised: Tensor) -> Tensor:
    """Compute attention in which the first key stands for many.

    Heads get spare channels instead of a mask, which flash kernels do not take: ones in the
    queries, ``raised`` in the first key and zeros elsewhere.

    Parameters
    ----------
    q, k, v : Tensor, shape (batch, heads, tokens, head_width)
    raised : Tensor, shape (8,)
        See ``key_raise``.

    Returns
    -------
    Tensor, shape of ``q``
    """
    width = q.shape[-1]
    spare = (0, SPARE_CHANNELS)
    k = functional.pad(k, spare)
    k[:, :, 0, width:] = raised
    q, v = functional.pad(q, spare, value=1.0), functional.pad(v, spare)
    return attend(q, k, v, scale=width**-0.5)[..., :width]
