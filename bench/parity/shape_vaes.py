"""Checks recorded shape decoders: tokens, values of points, and all ways to fill a grid."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from backend.engines.field_calls import Box
from backend.engines.implicit_decode import decode_grid
from backend.models.hunyuan3d import shape_vae_weights
from backend.models.hunyuan3d.geo_decoder import field_of, fourier_features
from backend.models.hunyuan3d.key_selection import KeyChoice
from backend.models.hunyuan3d.shape_vae import ShapeVae
from backend.models.hunyuan3d.shape_vae_config import ShapeVaeConfig
from backend.models.hunyuan3d.volume_decoding import dense_grid, flash_grid, hierarchical_grid
from bench.parity.building import built
from bench.parity.comparison import Comparison, compared, failed
from bench.parity.golden_folder import GoldenFile
from bench.parity.surfaces import HALF_SIDE, RecordedGrid, surface_comparisons

TOLERANCE, GRID_TOLERANCE = 2e-5, 5e-4
COARSEST_CELLS = 8
_GRID = re.compile(r"out\.(vanilla|hierarchical|flashvdm)(\d+)(?:_min(\d+))?(?:_(mean|merge))?")
_SURFACE = re.compile(r"out\.mc_\w+\.(verts|faces)")


def is_shape_vae(file: GoldenFile) -> bool:
    """Whether a file holds a shape decoder."""
    return {"embed_dim", "num_decoder_layers"} <= file.config.keys()


def shape_vae(params: Any, weights: dict[str, Tensor]) -> ShapeVae:
    """Build a shape decoder as an engine does."""
    config = ShapeVaeConfig.from_upstream(params)
    return built(ShapeVae, config, shape_vae_weights.fold(weights, config))


@torch.no_grad()
def shape_vae_comparisons(file: GoldenFile) -> Iterator[Comparison]:
    """Compare a shape decoder."""
    network = shape_vae(file.config, file.weights())
    tokens = network.transformer(file.tensors["in.z"])
    made = {"mid.latents": tokens, **_answers(file, network, tokens)}
    for name, tensor in made.items():
        if file.has(name):
            yield compared(f"{file.name} {name}", tensor, file.tensors[name], TOLERANCE)
    rest = sorted(file.recorded - made.keys())
    for name in rest:
        if not _SURFACE.fullmatch(name):
            yield from _grid(file, name, network, tokens)
    for surface in sorted({name.rpartition(".")[0] for name in rest if _SURFACE.fullmatch(name)}):
        yield from _surface(file, surface)


def _answers(file: GoldenFile, network: ShapeVae, tokens: Tensor) -> dict[str, Tensor]:
    """Ask of recorded points, if there are any."""
    if not file.has("in.queries"):
        return {}
    points, geo = file.tensors["in.queries"], network.geo_decoder
    return {
        "mid.fourier": fourier_features(points, geo.config.frequencies, geo.config.include_pi),
        "out.logits": geo(points, geo.keys(tokens))[..., None],
    }


def _grid(file: GoldenFile, name: str, network: ShapeVae, tokens: Tensor) -> Iterator[Comparison]:
    title = f"{file.name} {name}"
    found = _GRID.fullmatch(name)
    if found is None:
        yield failed(title, "is not computed", GRID_TOLERANCE)
        return
    way, cells, coarsest, choice = found.groups()
    items = [
        _filled(network, one, way, int(cells), coarsest, choice or KeyChoice.MEAN)
        for one in tokens.split(1)
    ]
    yield compared(title, torch.stack(items), file.tensors[name], GRID_TOLERANCE)
    if way == "vanilla" and int(cells) > COARSEST_CELLS:
        yield _own_way(title, network, tokens[:1], int(cells), file.tensors[name][0])


def _filled(
    network: ShapeVae, tokens: Tensor, way: str, cells: int, coarsest: str | None, choice: str
) -> Tensor:
    geo = network.geo_decoder
    if way == "flashvdm":
        keys = geo.keys(tokens)
        grid = flash_grid(
            geo, keys, cells, choice=KeyChoice(choice), coarsest_cells=int(coarsest or 63)
        )
    elif way == "hierarchical":
        grid = hierarchical_grid(field_of(geo, tokens), cells, coarsest_cells=int(coarsest or 63))
    else:
        grid = dense_grid(field_of(geo, tokens), cells)
    return grid.values


def _own_way(
    title: str, network: ShapeVae, tokens: Tensor, cells: int, dense: Tensor
) -> Comparison:
    """Compare what we make shapes with, wherever it asked."""
    box = Box((-HALF_SIDE,) * 3, (HALF_SIDE,) * 3)
    field = field_of(network.geo_decoder, tokens)
    found = decode_grid(field, cells, box, coarsest_cells=COARSEST_CELLS)
    asked = found.is_asked
    note = f"asked {float(asked.float().mean()):.0%} of the corners"
    name = f"{title}, coarse to fine"
    return compared(name, found.values[asked], dense[asked], GRID_TOLERANCE, note)


def _surface(file: GoldenFile, name: str) -> Iterator[Comparison]:
    """Compare a surface that was read off a recorded grid."""
    source = f"out.{name.removeprefix('out.mc_')}"
    found = _GRID.fullmatch(source)
    if found is None or not file.has(source):
        yield failed(f"{file.name} {name}", f"no grid {source} was recorded")
        return
    level = float(file.tensors.get("out.mc_level", torch.zeros(1)))
    grid = RecordedGrid(file.tensors[source][0], int(found[2]), level)
    recorded = {key: each for key, each in file.tensors.items() if key.rpartition(".")[0] == name}
    yield from surface_comparisons(file.name, grid, recorded)
