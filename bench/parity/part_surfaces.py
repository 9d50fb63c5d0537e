"""Checks recorded descriptions of surfaces: the encoder of points, and the conditioner."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from backend.models.hunyuan3d import shape_vae_weights
from backend.models.hunyuan3d.geo_decoder import fourier_features
from backend.models.hunyuan3d.shape_vae import ShapeVae
from backend.models.hunyuan3d.shape_vae_config import ShapeVaeConfig
from backend.models.xpart import part_conditioner_weights, point_set_weights
from backend.models.xpart.nearest_points import nearest_points
from backend.models.xpart.part_conditioner import PartConditioner, PartConditionerConfig
from backend.models.xpart.point_set_config import AXES, PointSetConfig
from backend.models.xpart.point_set_encoder import PointSetEncoder, chosen_points
from bench.parity.building import built
from bench.parity.comparison import Comparison
from bench.parity.golden_folder import GoldenFile
from bench.parity.point_clouds import recorded_cloud
from bench.parity.recorded_lines import Tolerance, all_recorded, compared_one

TOLERANCE = Tolerance(2e-5)


def is_part_vae(file: GoldenFile) -> bool:
    """Whether a file holds a shape VAE, or one half of it."""
    halves = ("weights.encoder.input_proj.weight", "weights.post_kl.weight")
    return any(file.has(name) for name in halves)


def is_part_conditioner(file: GoldenFile) -> bool:
    """Whether a file holds a conditioner of parts."""
    return file.has("weights.obj_out_proj.weight")


@torch.no_grad()
def part_vae_comparisons(file: GoldenFile) -> Iterator[Comparison]:
    """Compare the way from a surface to tokens, and from latents to values of points."""
    params, weights = file.noted["config"], file.weights("weights.")
    made: dict[str, Tensor] = {}
    if file.has("in.surface"):
        made |= _encoded(file, params, weights)
    if file.has("in.latents"):
        made |= _decoded(file, params, weights)
    yield from all_recorded(file, made, TOLERANCE)


def _encoded(
    file: GoldenFile, params: Mapping[str, Any], weights: dict[str, Tensor]
) -> dict[str, Tensor]:
    config = PointSetConfig.from_upstream(params)
    network = built(PointSetEncoder, config, point_set_weights.fold(weights, config))
    surfaces, order = file.tensors["in.surface"], file.tensors["in.randperm"]
    chosen = chosen_points(surfaces, order, config)
    places = torch.stack([each[row, :AXES] for each, row in zip(surfaces, chosen, strict=True)])
    waves = fourier_features(
        surfaces[..., :AXES].contiguous(), config.frequencies, config.include_pi
    )
    features = torch.cat([waves, surfaces[..., AXES:]], dim=-1)
    rows = zip(features, chosen, strict=True)
    tokens = network(surfaces, chosen, order)
    drawn = order[: config.tokens * config.candidates_per_token]
    ranks = torch.zeros(surfaces.shape[1], dtype=torch.int64)
    ranks[drawn] = torch.arange(len(drawn))
    made = {
        "mid.input_pc": surfaces[:, drawn, :AXES],
        "mid.fps_index_into_input_pc": ranks[chosen],
        "mid.query_pc": places,
        "mid.query_feat": torch.stack([each[row] for each, row in rows]),
        "mid.data_feat": features[:, drawn],
        "out.encode_shape": tokens,
    }
    if file.has("out.moments"):  # no job needs the last layer, so it is no part of a network
        moments = weights["pre_kl.weight"], weights["pre_kl.bias"]
        made["out.moments"] = torch.nn.functional.linear(tokens, *moments)
    return made


def _decoded(
    file: GoldenFile, params: Mapping[str, Any], weights: dict[str, Tensor]
) -> dict[str, Tensor]:
    config = ShapeVaeConfig.from_upstream(params)
    network = built(ShapeVae, config, shape_vae_weights.fold(weights, config))
    tokens = network.transformer(file.tensors["in.latents"])
    made = {"out.decoded": tokens}
    if file.has("in.queries"):
        geo, points = network.geo_decoder, file.tensors["in.queries"]
        made["mid.query_fourier"] = fourier_features(
            points, geo.config.frequencies, geo.config.include_pi
        )
        made["out.logits"] = geo(points, geo.keys(tokens)).view_as(file.tensors["out.logits"])
    return made


def part_conditioner(noted: Mapping[str, Any], weights: dict[str, Tensor]) -> PartConditioner:
    """Build a conditioner as an engine does; its weights tell how wide a context is."""
    params = {
        **noted,
        "feat_dim": len(weights["seg_feat_encoder.mlp.4.bias"]),
        "feat_hidden": len(weights["seg_feat_encoder.mlp.0.bias"]),
        "obj_dim": len(weights["obj_out_proj.bias"]),
        "geo_dim": len(weights["geo_out_proj.bias"]),
    }
    config = PartConditionerConfig.from_upstream(params)
    return built(PartConditioner, config, part_conditioner_weights.fold(weights, config))


@torch.no_grad()
def part_conditioner_comparisons(file: GoldenFile) -> Iterator[Comparison]:
    """Compare the contexts of an object and its parts."""
    network, given = part_conditioner(file.noted, file.weights("weights.")), file.tensors
    whole, parts = given["in.object_surface"], given["in.part_surface"]
    features = network.point_features(
        given["in.sonata_selected_feat"],
        given["in.sonata_selected_grid_coord"],
        given["in.sonata_inverse"],
        given["in.sonata_order_perms"],
    )
    config = network.config
    orders = given["in.obj_randperm"], given["in.geo_randperm"]
    own = chosen_points(whole, orders[0], config.object_encoder)
    chosen = chosen_points(parts, orders[1], config.part_encoder)
    places = parts[..., :AXES].gather(1, chosen[..., None].expand(-1, -1, AXES))
    nearest = nearest_points(places, whole[0, :, :AXES])
    context = network.object_context(whole, own, features, orders[0])
    made = {
        "out.obj_cond": context.expand(len(parts), -1, -1),
        "out.geo_cond": network.part_context(parts, chosen, features, nearest, orders[1]),
    }
    yield from all_recorded(file, made, TOLERANCE)
    yield from _cells(file)


def _cells(file: GoldenFile) -> Iterator[Comparison]:
    """Compare the cells that the points of the object fall into; they are not moved for it."""
    surface = file.tensors["in.object_surface"][0].double().numpy()
    recorded = file.tensors["in.sonata_selected_feat"].numpy()
    points, normals = surface[:, :AXES], surface[:, AXES : 2 * AXES]
    cloud = recorded_cloud(points, normals, recorded)
    for name, found in (
        ("in.sonata_selected_grid_coord", cloud.cells),
        ("in.sonata_inverse", cloud.inverse),
        ("in.sonata_selected_feat", cloud.features),
        ("in.sonata_selected_coord", cloud.features[:, :AXES]),
    ):
        if file.has(name):
            yield compared_one(file, name, torch.from_numpy(found), TOLERANCE)
