"""The text encoder of Stable Diffusion 2.1, for the one text that is asked of it. Imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from backend.models.attention import Attend, heads_of, joined_heads, plain_attention

PADDING_TOKEN = 0
# Of the library transformers, which leaves out of a description what is usual.
_USUAL_ACTIVATION = "quick_gelu"


@dataclass(frozen=True)
class ClipTextConfig:
    """Sizes of the network.

    Parameters
    ----------
    width, mlp_width : int
        Channels of a token, and inside the feed-forward part.
    layers, heads : int
    tokens : int
        Of every text, which is padded to that length.
    vocabulary : int
        Kinds of tokens; the last two begin and end a text.
    norm_eps : float
    """

    width: int
    mlp_width: int
    layers: int
    heads: int
    tokens: int = 77
    vocabulary: int = 49_408
    norm_eps: float = 1e-5

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"{self.width} channels are not for {self.heads} heads")
        if self.tokens < 2 or self.vocabulary < 2:
            raise ValueError("a text has a beginning and an end")

    @classmethod
    def from_upstream(cls, params: Mapping[str, Any]) -> ClipTextConfig:
        """Read the published configuration, which is that of the library transformers.

        Raises
        ------
        KeyError
            A size is missing; the published name.
        ValueError
            The network is of a kind that is not built here.
        """
        activation = params.get("hidden_act", _USUAL_ACTIVATION)
        if activation != "gelu":
            raise ValueError(f"hidden_act is {activation!r}; only 'gelu' is known")
        return cls(
            width=int(params["hidden_size"]),
            mlp_width=int(params["intermediate_size"]),
            layers=int(params["num_hidden_layers"]),
            heads=int(params["num_attention_heads"]),
            tokens=int(params.get("max_position_embeddings", cls.tokens)),
            vocabulary=int(params.get("vocab_size", cls.vocabulary)),
            norm_eps=float(params.get("layer_norm_eps", cls.norm_eps)),
        )


SD21_TEXT = ClipTextConfig(width=1024, mlp_width=4096, layers=23, heads=16)


class ClipText(nn.Module):
    """A transformer whose tokens look at themselves and those before.

    Parameters
    ----------
    config : ClipTextConfig
    attend : Attend
        Not used: it knows no order of tokens.

    Source
    ------
    Radford et al., Learning Transferable Visual Models From Natural Language Supervision (2021).
    """

    def __init__(self, config: ClipTextConfig, attend: Attend = plain_attention) -> None:
        super().__init__()
        del attend
        self.config = config
        self.words = nn.Parameter(torch.zeros(config.vocabulary, config.width))
        self.positions = nn.Parameter(torch.zeros(config.tokens, config.width))
        self.layers = nn.ModuleList(_Layer(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width, config.norm_eps)

    def forward(self, words: Tensor) -> Tensor:
        """Describe texts.

        Parameters
        ----------
        words : Tensor, shape (batch, tokens), int64

        Returns
        -------
        Tensor, shape (batch, tokens, width)
        """
        tokens = self.words[words] + self.positions
        for layer in self.layers:
            tokens = layer(tokens)
        normed: Tensor = self.norm(tokens)
        return normed

    def empty_text(self) -> Tensor:
        """Describe a text without a word.

        Returns
        -------
        Tensor, shape (1, tokens, width)
        """
        start, end = self.config.vocabulary - 2, self.config.vocabulary - 1
        padding = [PADDING_TOKEN] * (self.config.tokens - 2)
        described: Tensor = self(torch.tensor([[start, end, *padding]], device=self.words.device))
        return described


class _Layer(nn.Module):
    def __init__(self, config: ClipTextConfig) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.attention_norm = nn.LayerNorm(width, config.norm_eps)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.mlp_norm = nn.LayerNorm(width, config.norm_eps)
        self.widen = nn.Linear(width, config.mlp_width)
        self.narrow = nn.Linear(config.mlp_width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        parts = self.qkv(self.attention_norm(tokens)).chunk(3, dim=-1)
        q, k, v = (heads_of(part, self.heads) for part in parts)
        seen = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        tokens = tokens + self.out(joined_heads(seen))
        mixed: Tensor = tokens + self.narrow(functional.gelu(self.widen(self.mlp_norm(tokens))))
        return mixed
