"""What the transformer blocks of all U-Nets here are made of. Imports torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol, cast

from torch import Tensor, nn
from torch.nn import functional
from torch.utils import _pytree as pytree

from backend.models.attention import Attend
from backend.models.hunyuan3d.plain_blocks import ContextKeys, CrossAttention, SelfAttention
from backend.models.hunyuan3d.plain_config import HeadNorm, PlainConfig
from backend.models.hunyuan3d_paint.rotary import Rotation
from backend.models.hunyuan3d_paint.unet_layout import Transformer

LAYER_NORM_EPSILON = 1e-5
GROUP_NORM_EPSILON = 1e-6
MLP_WIDENING = 4


@dataclass(frozen=True)
class BlockSight:
    """What a block sees beside its tokens, always as keys or, to compute them anew, as tokens.

    Parameters
    ----------
    text : ContextKeys, Tensor or None
        None: a text of zeros.
    reference : ContextKeys, Tensor or None
        Of the pictures that the object is to look like; None: the block does not look.
    reference_scale : float
        How much it counts.
    dino : ContextKeys, Tensor or None
        Description of the picture, where the network takes one.
    rotation : Rotation or None
        Where the tokens of all views lie, where the network is told.
    """

    text: ContextKeys | Tensor | None
    reference: ContextKeys | Tensor | None = None
    reference_scale: float = 1.0
    dino: ContextKeys | Tensor | None = None
    rotation: Rotation | None = None


pytree.register_dataclass(BlockSight)


class KeyMaker(Protocol):
    """An attention whose keys can be kept."""

    def keys_of(self, context: Tensor) -> ContextKeys:
        """Compute what does not depend on the tokens."""


def attention_sizes(one: Transformer, context_width: int | None = None) -> PlainConfig:
    """Return the sizes of an attention in the form that attention layers take.

    Parameters
    ----------
    context_width : int, optional
        Channels of what is looked at; as wide as the tokens if absent.
    """
    return PlainConfig(
        latent_channels=one.width,
        context_channels=context_width or one.width,
        width=one.width,
        heads=one.heads,
        depth=1,
        expert_blocks=0,
        head_norm=HeadNorm.NONE,
    )


def look(attention: CrossAttention, tokens: Tensor, context: ContextKeys | Tensor) -> Tensor:
    """Return what is to be added to tokens that look at a context or at its kept keys.

    Parameters
    ----------
    tokens : Tensor, shape (batch, tokens, width)
        Split into as many items as the context has, whatever the batch is.

    Returns
    -------
    Tensor, shape of ``tokens``
    """
    keys = context if isinstance(context, ContextKeys) else attention.keys_of(context)
    items = keys.keys.shape[0]
    seen: Tensor = attention(tokens.reshape(items, -1, tokens.shape[-1]), keys)
    return seen.reshape(tokens.shape)


def with_keys(sight: BlockSight, **attentions: KeyMaker) -> BlockSight:
    """Return a sight with keys in place of the tokens of contexts.

    Parameters
    ----------
    **attentions
        What makes the keys, by the name of the field of ``BlockSight``.
    """
    kept: dict[str, Any] = {}
    for name, attention in attentions.items():
        context = getattr(sight, name)
        if isinstance(context, Tensor):
            kept[name] = attention.keys_of(context)
    return replace(sight, **kept)


class KeyKeeper(Protocol):
    """A block that computes the keys of all that it sees beforehand."""

    def with_keys(self, sight: BlockSight) -> BlockSight:
        """Return the sight with keys in place of the tokens of contexts."""


class GatedPerceptron(nn.Module):
    """Two layers, half of the inner channels of which gate the other half.

    Source
    ------
    Shazeer, GLU Variants Improve Transformer (2020), GEGLU.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, 2 * MLP_WIDENING * width)
        self.down = nn.Linear(MLP_WIDENING * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens one by one."""
        value, gate = self.up(tokens).chunk(2, dim=-1)
        result: Tensor = self.down(value * functional.gelu(gate))
        return result


class TextBlock(nn.Module):
    """The block of Stable Diffusion: attention among tokens, to a text, and a perceptron.

    Source
    ------
    Rombach et al., High-Resolution Image Synthesis with Latent Diffusion Models (2022).
    """

    def __init__(self, one: Transformer, text_width: int, attend: Attend) -> None:
        super().__init__()
        self.norm1, self.norm2, self.norm3 = (
            nn.LayerNorm(one.width, eps=LAYER_NORM_EPSILON) for _ in range(3)
        )
        self.self_attention = SelfAttention(attention_sizes(one), attend)
        self.text_attention = CrossAttention(attention_sizes(one, text_width), attend)
        self.perceptron = GatedPerceptron(one.width)

    def forward(self, tokens: Tensor, sight: BlockSight) -> Tensor:
        """Return the tokens changed, shape (images, tokens, width)."""
        tokens = tokens + self.self_attention(self.norm1(tokens))
        return self.fed_forward(tokens + self.answer_to_text(self.norm2(tokens), sight))

    def answer_to_text(self, normed: Tensor, sight: BlockSight) -> Tensor:
        """Return what is to be added for the text; for zeros it is the same for every token."""
        if sight.text is None:
            return self.text_attention.answer_to_blank()
        return look(self.text_attention, normed, sight.text)

    def with_keys(self, sight: BlockSight) -> BlockSight:
        """Compute the keys of all that is seen."""
        return with_keys(sight, text=self.text_attention)

    def fed_forward(self, tokens: Tensor) -> Tensor:
        """Add what the perceptron makes of each token."""
        changed: Tensor = self.perceptron(self.norm3(tokens))
        return tokens + changed


class ImageTransformer(nn.Module):
    """A block over the pixels of a feature map.

    Parameters
    ----------
    block : nn.Module
        Takes tokens and a ``BlockSight``; a ``KeyKeeper`` if keys are to be kept.
    """

    def __init__(self, one: Transformer, groups: int, block: nn.Module) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, one.width, eps=GROUP_NORM_EPSILON)
        self.proj_in = nn.Linear(one.width, one.width)
        self.block = block
        self.proj_out = nn.Linear(one.width, one.width)

    def forward(self, image: Tensor, sight: BlockSight) -> Tensor:
        """Return the feature map changed, shape (images, width, height, width)."""
        tokens = self.proj_in(tokens_of(self.norm(image)))
        changed = self.proj_out(self.block(tokens, sight))
        added: Tensor = changed.transpose(1, 2).unflatten(2, image.shape[2:])
        return image + added

    def with_keys(self, sight: BlockSight) -> BlockSight:
        """Return a sight with keys in place of the tokens of contexts."""
        return cast("KeyKeeper", self.block).with_keys(sight)


def tokens_of(image: Tensor) -> Tensor:
    """Turn pixels into tokens, (images, channels, height, width) to (images, pixels, channels)."""
    return image.flatten(2).transpose(1, 2)
