"""Layers that the encoder and both halves of the shape decoder share. Imports torch."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from torch import Tensor, nn

from backend.models.attention import Attend, heads_of, joined_heads

NORM_EPS = 1e-6
NORM_OUT_EPS = 1e-5
MLP_RATIO = 4


class BlockSizes(Protocol):
    """Sizes of one layer of attention and a feed-forward network."""

    @property
    def width(self) -> int:
        """Channels of a token."""

    @property
    def heads(self) -> int:
        """Heads of attention."""

    @property
    def has_head_norms(self) -> bool:
        """Whether queries and keys are normalised."""

    @property
    def qkv_bias(self) -> bool:
        """Whether queries, keys and values have a bias."""


class GeoKeys(NamedTuple):
    """What points are compared with.

    Parameters
    ----------
    k, v : Tensor, shape (batch, heads, tokens, head_dim)
    """

    k: Tensor
    v: Tensor


class FeedForward(nn.Module):
    """Two layers with a GELU between them."""

    def __init__(self, width: int, ratio: int) -> None:
        super().__init__()
        self.wide = nn.Linear(width, ratio * width)
        self.gelu = nn.GELU()
        self.narrow = nn.Linear(ratio * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens in the shape of ``tokens``."""
        narrowed: Tensor = self.narrow(self.gelu(self.wide(tokens)))
        return narrowed


class SelfBlock(nn.Module):
    """Self-attention and a feed-forward network, each added to what it reads normalised."""

    def __init__(self, config: BlockSizes, attend: Attend) -> None:
        super().__init__()
        width, head_dim = config.width, config.width // config.heads
        self._heads = config.heads
        self._attend = attend
        self.attention_norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.qkv = nn.Linear(width, 3 * width, bias=config.qkv_bias)
        self.q_norm = head_norm(head_dim, config.has_head_norms)
        self.k_norm = head_norm(head_dim, config.has_head_norms)
        self.attention_out = nn.Linear(width, width)
        self.mlp_norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.mlp = FeedForward(width, MLP_RATIO)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens in the shape of ``tokens``."""
        fused = self.qkv(self.attention_norm(tokens)).chunk(3, dim=-1)
        q, k, v = (heads_of(each, self._heads) for each in fused)
        seen = self._attend(self.q_norm(q), self.k_norm(k), v)
        tokens = tokens + self.attention_out(joined_heads(seen))
        updated: Tensor = tokens + self.mlp(self.mlp_norm(tokens))
        return updated


class CrossBlock(nn.Module):
    """Cross-attention and a feed-forward network, each added to what it reads normalised."""

    def __init__(self, config: BlockSizes, attend: Attend, mlp_ratio: int = MLP_RATIO) -> None:
        super().__init__()
        width, head_dim = config.width, config.width // config.heads
        self._heads = config.heads
        self._attend = attend
        self.key_norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.kv = nn.Linear(width, 2 * width, bias=config.qkv_bias)
        self.k_norm = head_norm(head_dim, config.has_head_norms)
        self.query_norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.q = nn.Linear(width, width, bias=config.qkv_bias)
        self.q_norm = head_norm(head_dim, config.has_head_norms)
        self.attention_out = nn.Linear(width, width)
        self.mlp_norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.mlp = FeedForward(width, mlp_ratio)

    def keys_of(self, context: Tensor) -> GeoKeys:
        """Compute keys and values, which no query changes.

        Parameters
        ----------
        context : Tensor, shape (batch, tokens, width)
        """
        fused = self.kv(self.key_norm(context)).chunk(2, dim=-1)
        k, v = (heads_of(each, self._heads) for each in fused)
        return GeoKeys(self.k_norm(k), v)

    def queries(self, embedded: Tensor) -> Tensor:
        """Return what is compared with the keys, shape (batch, heads, queries, head_dim)."""
        q: Tensor = self.q_norm(heads_of(self.q(self.query_norm(embedded)), self._heads))
        return q

    def attended(self, embedded: Tensor, keys: GeoKeys) -> Tensor:
        """Tell queries of the context.

        Parameters
        ----------
        embedded : Tensor, shape (batch, queries, width)
        keys : GeoKeys

        Returns
        -------
        Tensor, shape of ``embedded``
        """
        seen = self._attend(self.queries(embedded), keys.k, keys.v)
        h = embedded + self.attention_out(joined_heads(seen))
        updated: Tensor = h + self.mlp(self.mlp_norm(h))
        return updated


def head_norm(head_dim: int, is_wanted: bool) -> nn.Module:
    """Return what normalises queries or keys over the channels of each head."""
    return nn.LayerNorm(head_dim, eps=NORM_EPS) if is_wanted else nn.Identity()
