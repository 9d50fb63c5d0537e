"""Published names of the weights of the heads of P3-SAM. Imports torch."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from backend.models.hunyuan3d.plain_weights import Origin, linear_origins
from backend.models.p3sam.config import MASKS, HeadsConfig

PLACE = 3
"""Coordinates of a point, and of a prompt."""


def heads_origins(config: HeadsConfig, ours: str = "") -> Iterator[Origin]:
    """Yield the origin of each parameter of ``MaskHeads``.

    Parameters
    ----------
    ours : str
        What comes before our names.
    """
    yield from _first_layers(config, ours)
    first = [f"seg_mlp_{number}" for number in range(1, 1 + MASKS)]
    refined = [f"seg_s2_mlp_{number}" for number in range(1, 1 + MASKS)]
    width, inner = config.width, config.inner_width
    for number in range(MASKS):
        yield from _tail(f"{ours}first.{number}", first[number], width, 1)
        yield from _tail(f"{ours}refined.{number}", refined[number], inner, 1)
    yield from _tail(f"{ours}context", "seg_s2_mlp_g", inner, inner)
    yield from _tail(f"{ours}quality", "iou_mlp", inner, inner)
    yield from linear_origins(f"{ours}iou_in", "iou_mlp_out.0", inner, inner)
    yield from _tail(f"{ours}iou", "iou_mlp_out", inner, MASKS)


def _first_layers(config: HeadsConfig, ours: str) -> Iterator[Origin]:
    """Yield columns of first layers: (context), features, point, prompt, (masks)."""
    inner, features = config.inner_width, config.feature_channels
    layers = _published_first_layers(config)
    starts = [0] * MASKS + [0] + [inner] * (MASKS + 1)
    columns = [(start, start + features) for start in starts]
    yield _columns(f"{ours}features_in.weight", layers, columns)
    for name, skipped in (("points_in", 0), ("prompts_in", PLACE)):
        moved = [(stop + skipped, stop + skipped + PLACE) for _, stop in columns]
        yield _columns(f"{ours}{name}.weight", layers, moved)
    biases = {name.replace("weight", "bias"): shape[:1] for name, shape in layers.items()}
    yield Origin(f"{ours}prompts_in.bias", biases, torch.cat)
    names = list(layers)
    for name, chosen in (
        ("context", names[MASKS : MASKS + 1]),
        ("refined", names[MASKS + 1 : -1]),
        ("quality", names[-1:]),
    ):
        some = {key: layers[key] for key in chosen}
        ends = [(shape[1] - MASKS, shape[1]) for shape in some.values()]
        yield _columns(f"{ours}{name}_masks.weight", some, ends)
        if name != "context":
            yield _columns(f"{ours}{name}_context.weight", some, [(0, inner)] * len(some))


def _published_first_layers(config: HeadsConfig) -> dict[str, torch.Size]:
    """Names and shapes in the order in which ``MaskHeads`` joins their outputs."""
    pair = config.feature_channels + 2 * PLACE
    inner = config.inner_width
    shapes = {f"seg_mlp_{number}.0.weight": (config.width, pair) for number in range(1, 1 + MASKS)}
    shapes["seg_s2_mlp_g.0.weight"] = (inner, pair + MASKS)
    for name in [f"seg_s2_mlp_{number}" for number in range(1, 1 + MASKS)] + ["iou_mlp"]:
        shapes[f"{name}.0.weight"] = (inner, inner + pair + MASKS)
    return {name: torch.Size(shape) for name, shape in shapes.items()}


def _columns(name: str, published: dict[str, torch.Size], columns: list[tuple[int, int]]) -> Origin:
    def join(tensors: list[Tensor]) -> Tensor:
        found = zip(tensors, columns, strict=True)
        return torch.cat([tensor[:, start:stop] for tensor, (start, stop) in found])

    return Origin(name, published, join)


def _tail(ours: str, theirs: str, width: int, out_channels: int) -> Iterator[Origin]:
    yield from linear_origins(f"{ours}.hidden", f"{theirs}.2", width, width)
    yield from linear_origins(f"{ours}.out", f"{theirs}.4", width, out_channels)
