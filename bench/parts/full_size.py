"""Memory of a GPU that the published sizes take, counted with tensors that hold no data.

What kernels need for themselves is not in it, nor what torch keeps for later; nothing is run on a
GPU for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from backend.engines.part_memory import encode_bytes as surface_bytes
from backend.engines.part_memory import plan_denoise
from backend.engines.segmentation_memory import MaskWork, encode_bytes, fitting_work
from backend.gpu.batch_prior import count_peak
from backend.models.hunyuan3d.shape_vae import ShapeVae
from backend.models.hunyuan3d.shape_vae_config import ShapeVaeConfig
from backend.models.p3sam import p3sam_weights
from backend.models.p3sam.config import P3SAM
from backend.models.p3sam.network import P3Sam
from backend.models.p3sam.prompt_masks import prompt_masks, working_bytes
from backend.models.sonata.pyramid import GridLevel, grid_pyramid
from backend.models.sonata.serialization import order_permutations
from backend.models.xpart.denoiser import PartDenoiser
from backend.models.xpart.denoiser_config import X_PART
from backend.models.xpart.part_block import BlockWay
from backend.models.xpart.part_conditioner import PartConditionerConfig
from backend.models.xpart.point_set_encoder import PointSetEncoder
from bench.parts.finding import voxels
from bench.parts.inputs import SEED
from bench.parts.reference_heads import head_answers
from bench.parts.sizes import SIZES, Scale
from bench.shape.outcome import MB

FULL = SIZES[Scale.FULL]
DECODE_POINTS = 100_000
P3SAM_LIMIT_MB, X_PART_LIMIT_MB = 4000, 10_000
# Memory that the denoiser is given, weights included.
ROOMS_MB = (8000, 10_000)


class _Call(nn.Module):
    """A network whose forward pass is something else."""

    def __init__(self, network: nn.Module, call: Callable[..., Any]) -> None:
        super().__init__()
        self.network = network
        self._call = call

    def forward(self, *given: Any) -> Any:
        """Do it."""
        return self._call(self.network, *given)


def estimates() -> list[dict[str, Any]]:
    """Return a row for each call that holds much, with the weights that it needs."""
    rows = [*_finding(), *_completing()]
    worst = {
        model: max(row["total_mb"] for row in rows if row["model"] == model)
        for model in ("P3-SAM", "X-Part")
    }
    for model, limit_mb in (("P3-SAM", P3SAM_LIMIT_MB), ("X-Part", X_PART_LIMIT_MB)):
        total_mb = worst[model]
        rows.append(
            {
                "model": model,
                "call": "worst of them",
                "total_mb": total_mb,
                "limit_mb": limit_mb,
                "holds": total_mb <= limit_mb,
            }
        )
    return rows


def _row(
    model: str,
    call: str,
    build: Callable[[], nn.Module],
    given: Callable[[int], tuple[Any, ...]],
    items: int,
    promised_bytes: int | None = None,
) -> dict[str, Any]:
    """Count at two sizes near the wanted one; the module returned has its final dtype.

    What an engine promises to the residency manager must not be less than is counted.
    """
    peak = count_peak(build, given, (items, items + 1))
    weights_mb = _weight_bytes(build) / MB
    beside_mb = peak.fixed_mb + peak.per_item_mb * items
    row = {
        "model": model,
        "call": call,
        "weights_mb": round(weights_mb),
        "beside_weights_mb": round(beside_mb),
        "total_mb": round(weights_mb + beside_mb),
    }
    if promised_bytes is None:
        return row
    is_kept = beside_mb <= promised_bytes / MB
    return {**row, "promised_mb": round(promised_bytes / MB), "holds": is_kept}


def _weight_bytes(build: Callable[[], nn.Module]) -> int:
    with torch.device("meta"):
        return sum(each.nbytes for each in build().parameters())


def _finding() -> list[dict[str, Any]]:
    cloud = voxels(FULL.points)
    orders = order_permutations(torch.Generator().manual_seed(SEED), P3SAM.features.levels)
    pyramid = grid_pyramid(torch.from_numpy(cloud.cells), orders, P3SAM.features)

    def features(_items: int) -> tuple[Any, ...]:
        levels = pytree.tree_map_only(Tensor, _blank, pyramid)
        return torch.zeros(len(cloud.cells), P3SAM.features.in_channels), levels

    def masks(items: int) -> tuple[Any, ...]:
        channels = P3SAM.heads.feature_channels
        return torch.zeros(FULL.points, channels), torch.zeros(FULL.points, 3), items

    room_bytes = P3SAM_LIMIT_MB * MB - _weight_bytes(lambda: P3Sam(P3SAM))
    work = fitting_work(room_bytes, _mask_bytes)
    found = f"features of {len(cloud.cells)} cells"
    title = f"masks of {work.prompt_batch} prompts, {work.chunk_points} points at a time"
    return [
        _row("P3-SAM", found, _points_network, features, 1, encode_bytes(len(cloud.cells))),
        _row(
            "P3-SAM",
            title,
            lambda: _mask_network(work),
            masks,
            work.prompt_batch,
            _mask_bytes(work),
        ),
        _row(
            "reference of P3-SAM",
            f"masks of {FULL.prompt_batch} prompts at a time",
            _reference_masks,
            masks,
            FULL.prompt_batch,
        ),
    ]


def _mask_bytes(work: MaskWork) -> int:
    return working_bytes(
        P3SAM.heads,
        FULL.points,
        torch.float32,
        chunk_points=work.chunk_points,
        prompt_batch=work.prompt_batch,
    )


def _blank(tensor: Tensor) -> Tensor:
    return torch.zeros(tensor.shape, dtype=tensor.dtype)


def _points_network() -> nn.Module:
    def call(network: P3Sam, rows: Tensor, levels: tuple[GridLevel, ...]) -> Tensor:
        found: Tensor = network.features.mlp(network.features.sonata(rows, levels), levels)
        return found

    return _Call(P3Sam(P3SAM), call)


def _mask_network(work: MaskWork) -> nn.Module:
    def call(network: P3Sam, features: Tensor, points: Tensor, prompts: int) -> Tensor:
        terms = network.heads.point_terms(features, points)
        return prompt_masks(
            network.heads,
            terms,
            points[:prompts],
            chunk_points=work.chunk_points,
            prompt_batch=work.prompt_batch,
        ).bits

    return _Call(P3Sam(P3SAM), call)


def _is_of_heads(name: str) -> bool:
    return not name.startswith(("sonata.", "mlp."))


def _reference_masks() -> nn.Module:
    def call(_: nn.Module, features: Tensor, points: Tensor, prompts: int) -> Tensor:
        shapes = p3sam_weights.upstream_shapes(P3SAM)
        state = {name: torch.zeros(shape) for name, shape in shapes.items() if _is_of_heads(name)}
        return head_answers(state, features, points, points[:prompts]).probabilities

    return _Call(P3Sam(P3SAM), call)


def _completing() -> list[dict[str, Any]]:
    config = PartConditionerConfig.from_upstream(FULL.conditioner_params)
    vae = ShapeVaeConfig.from_upstream(FULL.vae_params)
    half = torch.bfloat16

    def surface(items: int) -> tuple[Any, ...]:
        chosen = torch.zeros(items, FULL.context_tokens, dtype=torch.int64)
        return torch.zeros(items, FULL.surface_points, 7), chosen

    def query(items: int) -> tuple[Any, ...]:
        return (
            torch.zeros(1, FULL.latent_tokens, 64, dtype=half),
            torch.zeros(1, DECODE_POINTS * items, 3),
        )

    promised = surface_bytes(config.part_encoder, 1, half.itemsize)
    encoder = f"encode one surface of {FULL.surface_points} points"
    return [
        _row("X-Part", encoder, lambda: _surface_encoder(config), surface, 1, promised),
        *(_denoising(room_mb) for room_mb in ROOMS_MB),
        _row("X-Part", f"decode {DECODE_POINTS} points", lambda: _decoder(vae), query, 1),
    ]


def _halved(build: Callable[[], nn.Module]) -> nn.Module:
    """Build with weights of 16 bits; faked ones cannot be changed later."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        return build()
    finally:
        torch.set_default_dtype(before)


def _denoising(limit_mb: int) -> dict[str, Any]:
    """Count one step of ten parts as the engine plans it, with what is kept of their contexts."""
    half, channels = torch.bfloat16, X_PART.trunk.context_channels
    room_bytes = limit_mb * MB - _weight_bytes(lambda: _halved(lambda: PartDenoiser(X_PART)))
    plan = plan_denoise(X_PART, FULL.parts, FULL.context_tokens, half.itemsize, room_bytes)

    def call(network: PartDenoiser, latents: Tensor, whole: Tensor, own: Tensor) -> Tensor:
        prepared = network.prepare(
            whole,
            own,
            torch.zeros(1),
            torch.zeros(len(latents), dtype=torch.int64),
            keys_for_blocks=plan.keys_for_blocks,
            way=BlockWay(parts_per_call=plan.parts_per_call),
        )
        velocity: Tensor = network(latents, prepared, 0)
        return velocity

    def parts(items: int) -> tuple[Any, ...]:
        tokens = FULL.context_tokens
        return (
            torch.zeros(items, X_PART.tokens, X_PART.trunk.latent_channels, dtype=half),
            torch.zeros(1, tokens, channels, dtype=half),
            torch.zeros(items, tokens, channels, dtype=half),
        )

    row = _row(
        "X-Part",
        f"a step of {FULL.parts} parts within {limit_mb} MB: {plan.parts_together} together, "
        f"{plan.parts_per_call} at a time, keys of {plan.keys_for_blocks} blocks kept",
        lambda: _Call(_halved(lambda: PartDenoiser(X_PART)), call),
        parts,
        plan.parts_together,
        plan.extra_bytes,
    )
    is_kept = row["holds"] and row["total_mb"] <= limit_mb
    return row | {"limit_mb": limit_mb, "holds": is_kept}


def _surface_encoder(config: PartConditionerConfig) -> nn.Module:
    return _halved(lambda: PointSetEncoder(config.part_encoder))


def _decoder(config: ShapeVaeConfig) -> nn.Module:
    def call(network: ShapeVae, latents: Tensor, points: Tensor) -> Tensor:
        keys = network.geo_decoder.keys(network.transformer(latents))
        answers: Tensor = network.geo_decoder(points, keys)
        return answers

    return _Call(_halved(lambda: ShapeVae(config)), call)
