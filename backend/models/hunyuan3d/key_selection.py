"""Which keys matter to a group of points that lie together. Imports torch.

Points that lie together look at the same few tokens of a shape. A sample of them chooses, and all
of them look at what it chose. Results differ a little from those of all keys, by design.
"""

from __future__ import annotations

from enum import StrEnum

import torch
from torch import Tensor

from backend.models.hunyuan3d.shape_vae_layers import GeoKeys

# A key whose weight is below this for every point of the sample is left out.
LEAST_WEIGHT = 1e-6
# Products of one call of ``_merged``.
MERGED_POINTS = 256
_KEPT_OF = {3072: 1024, 512: 256}


class KeyChoice(StrEnum):
    """How the sample chooses."""

    MEAN = "mean"
    """Each head keeps as many keys as ``kept_keys`` says: those with the largest mean product."""
    MERGE = "merge"
    """All heads keep every key that has weight for some point of the sample."""


def kept_keys(tokens: int) -> int:
    """Return how many keys each head keeps of so many.

    >>> [kept_keys(tokens) for tokens in (3072, 512, 4096)]
    [1024, 256, 1365]
    """
    return _KEPT_OF.get(tokens, tokens // 3)


def choose_keys(queries: Tensor, keys: GeoKeys, choice: KeyChoice) -> GeoKeys:
    """Keep the keys that matter to a sample.

    Parameters
    ----------
    queries : Tensor, shape (1, heads, sample, head_dim)
    keys : GeoKeys
        Of one shape.
    choice : KeyChoice

    Returns
    -------
    GeoKeys
        Tensors of shape (1, heads, kept, head_dim).

    Source
    ------
    Lai et al., FlashVDM (2025), adaptive KV selection.
    """
    if choice is KeyChoice.MERGE:
        return _merged(queries, keys)
    mean = queries.float().mean(dim=2, keepdim=True)
    products = mean @ keys.k.float().transpose(2, 3)
    best = products.topk(kept_keys(keys.k.shape[2]), dim=-1).indices.transpose(2, 3)
    best = best.expand(-1, -1, -1, keys.k.shape[3])
    return GeoKeys(keys.k.gather(2, best), keys.v.gather(2, best))


def _merged(queries: Tensor, keys: GeoKeys) -> GeoKeys:
    transposed = keys.k.float().transpose(2, 3)
    is_kept = torch.zeros(keys.k.shape[2], dtype=torch.bool, device=queries.device)
    for part in queries.float().split(MERGED_POINTS, dim=2):
        weights = (part @ transposed).softmax(dim=-1).mean(dim=1)
        is_kept |= (weights > LEAST_WEIGHT).flatten(0, 1).any(dim=0)
    return GeoKeys(keys.k[:, :, is_kept], keys.v[:, :, is_kept])
