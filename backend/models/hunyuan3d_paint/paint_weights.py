"""Published names of the weights of ``PaintUnet``, and what becomes of them. Imports torch.

A published file holds two networks; names are those of the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from backend.models.hunyuan3d.plain_weights import (
    Origin,
    as_it_is,
    fold_origins,
    linear_origins,
    linear_shapes,
    norm_origins,
    published_shapes,
)
from backend.models.hunyuan3d_paint.paint_config import (
    DINO_TOKENS_PER_PATCH,
    PaintConfig,
    PaintKind,
)
from backend.models.hunyuan3d_paint.pbr_block import MATERIALS
from backend.models.hunyuan3d_paint.unet_layout import Transformer
from backend.models.hunyuan3d_paint.unet_origins import (
    attention_origins,
    cross_origins,
    end_origins,
    text_block,
    trunk_origins,
    without_batch,
)

PREFIX = "unet."


def fold(state: Mapping[str, Tensor], config: PaintConfig) -> dict[str, Tensor]:
    """Turn published weights into those of ``PaintUnet``.

    Projections to queries, keys and values become one. Everything else is passed on without a
    copy.

    Parameters
    ----------
    state : mapping
        By published name. Names that are not in ``upstream_shapes`` are left out.

    Raises
    ------
    KeyError
        With the published name of a tensor that is missing.
    """
    return fold_origins(state, _origins(config))


def upstream_shapes(config: PaintConfig) -> dict[str, torch.Size]:
    """Return the shapes that a published file has for this network, by name."""
    return published_shapes(_origins(config))


def text_shape(config: PaintConfig) -> torch.Size:
    """Return the published shape of a learned text, which colour has as a batch of one."""
    shape = [config.text_tokens, config.unet.text_width]
    return torch.Size(shape if config.kind is PaintKind.PBR else [1, *shape])


def _origins(config: PaintConfig) -> Iterator[Origin]:
    sizes = config.main_unet

    def block(one: Transformer, ours: str, theirs: str) -> Iterator[Origin]:
        if config.kind is PaintKind.PBR:
            return _pbr_block(one, sizes.text_width, ours, theirs)
        return _colour_block(one, sizes.text_width, ours, theirs)

    yield from trunk_origins(sizes, PREFIX, block)
    yield from end_origins(sizes, PREFIX)
    texts = {f"{PREFIX}learned_text_clip_{name}": text_shape(config) for name in config.materials}
    yield Origin("text", texts, without_batch)
    if config.camera_rows:
        table = torch.Size([config.camera_rows, sizes.time_width])
        yield Origin("cameras", {f"{PREFIX}class_embedding.weight": table}, as_it_is)
    if config.dino_width:
        dino, tokens = f"{PREFIX}image_proj_model_dino", DINO_TOKENS_PER_PATCH * sizes.text_width
        yield from linear_origins("dino.proj", f"{dino}.proj", config.dino_width, tokens)
        yield from norm_origins("dino.norm", f"{dino}.norm", sizes.text_width)


def _colour_block(one: Transformer, text_width: int, ours: str, theirs: str) -> Iterator[Origin]:
    yield from text_block(text_width)(one, ours, f"{theirs}.transformer")
    yield from cross_origins(
        f"{ours}.reference_attention", f"{theirs}.attn_refview", one.width, one.width
    )
    yield from attention_origins(f"{ours}.view_attention", f"{theirs}.attn_multiview", one.width)


def _pbr_block(one: Transformer, text_width: int, ours: str, theirs: str) -> Iterator[Origin]:
    own, inner = f"{ours}.self_attention", f"{theirs}.transformer"
    for origin in text_block(text_width)(one, ours, inner):
        name = origin.name.replace(f"{own}.", f"{own}.0.")
        yield Origin(name, origin.published, origin.join)
    yield from attention_origins(f"{own}.1", f"{inner}.attn1", one.width, _of_material)
    yield from _material_attention(
        f"{ours}.reference_attention", f"{theirs}.attn_refview", one.width, one.heads
    )
    yield from attention_origins(f"{ours}.view_attention", f"{theirs}.attn_multiview", one.width)
    yield from cross_origins(f"{ours}.dino_attention", f"{theirs}.attn_dino", one.width, text_width)


def _of_material(layer: str) -> str:
    """Return the published name of a layer's other half, for the material."""
    kind, _, number = layer.partition(".")
    return f"processor.{kind}_mr" + (f".{number}" if number else "")


def _material_attention(ours: str, theirs: str, width: int, heads: int) -> Iterator[Origin]:
    shape = linear_shapes(width, width)["weight"]
    yield from linear_origins(f"{ours}.q", f"{theirs}.to_q", width, width, False)
    names = ("to_k", "to_v", _of_material("to_v"))
    published = {f"{theirs}.{name}.weight": shape for name in names}
    yield Origin(f"{ours}.kv.weight", published, lambda tensors: _keys_and_values(tensors, heads))
    for number, name in enumerate(("to_out.0", _of_material("to_out.0"))):
        yield from linear_origins(f"{ours}.out.{number}", f"{theirs}.{name}", width, width)


def _keys_and_values(tensors: list[Tensor], heads: int) -> Tensor:
    """Join projections to keys and to values of both materials.

    As trained, the channels of all values one after the other are cut by head first, and by
    material within a head. With an odd number of heads the one in the middle has channels of
    both projections.
    """
    keys, *values = tensors
    by_head = torch.cat(values).unflatten(0, (heads, MATERIALS, -1))
    return torch.cat([keys, by_head.transpose(0, 1).flatten(0, 2)])
