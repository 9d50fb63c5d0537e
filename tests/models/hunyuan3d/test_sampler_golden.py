"""From noise to latents through each of the networks, against what the original made of it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from backend.models.hunyuan3d import flux_weights, plain_weights
from backend.models.hunyuan3d.flux_config import FluxConfig
from backend.models.hunyuan3d.flux_denoiser import FluxDenoiser
from backend.models.hunyuan3d.plain_config import PlainConfig
from backend.models.hunyuan3d.plain_denoiser import PlainDenoiser
from backend.models.hunyuan3d.sampler import Guidance, sample
from backend.models.hunyuan3d.savings import ALL_SAVINGS, NO_SAVINGS
from backend.models.hunyuan3d.schedules import consistency_schedule, euler_schedule
from tests.models.golden_files import pipeline_config, tensors, tensors_under

FAMILIES: dict[str, tuple[Any, ...]] = {
    "pipeline20": (FluxConfig, FluxDenoiser, flux_weights.fold),
    "pipeline20_turbo": (FluxConfig, FluxDenoiser, flux_weights.fold),
    "pipeline21": (PlainConfig, PlainDenoiser, plain_weights.fold),
}
SCHEDULES = {
    "pipeline20": euler_schedule(6),
    "pipeline20_turbo": consistency_schedule(5, 100),
    "pipeline21": euler_schedule(6),
}
TOLERANCE = 2e-4  # published for whole trajectories, as guidance multiplies what rounding leaves


class _Watched:
    """Writes down the latents that each call gets."""

    def __init__(self, denoiser: Any) -> None:
        self._denoiser = denoiser
        self.seen: list[Tensor] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._denoiser, name)

    def __call__(self, latents: Tensor, conditioning: Any, step: int) -> Tensor:
        self.seen.append(latents)
        velocity: Tensor = self._denoiser(latents, conditioning, step)
        return velocity


def _denoiser(name: str) -> Any:
    config_class, network, fold = FAMILIES[name]
    config = config_class.from_upstream(pipeline_config(name)["model"]["params"])
    with torch.device("meta"):
        denoiser = network(config)
    weights = fold(tensors_under(name, "model."), config)
    denoiser.load_state_dict(weights, strict=True, assign=True)
    return denoiser.eval()


def _near(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("savings", [ALL_SAVINGS, NO_SAVINGS], ids=["all savings", "none"])
@pytest.mark.parametrize("joint", [False, True], ids=["two calls", "joint"])
def test_latents_of_every_step_are_those_of_the_original(name, savings, joint):
    golden = tensors(name)
    watched = _Watched(_denoiser(name))
    result = sample(
        watched,
        SCHEDULES[name],
        golden["in.noise"],
        golden["mid.cond"][:1],
        guidance=Guidance(5.0, joint=joint),
        savings=savings,
    )
    _near(result, golden["out.latents"])
    has_pairs = len(golden["mid.cond"]) == 2
    after = [*watched.seen[:: 1 + (has_pairs and not joint)][1:], result]
    steps = golden["mid.latents_per_step"]
    is_cut_short = has_pairs and savings.last_step  # its last entry repeats the one before
    assert len(after) == len(steps) - is_cut_short
    for actual, expected in zip(after, steps, strict=False):
        batch = actual[: len(expected)]  # a joint call gets the latents twice over
        _near(batch, expected)


@pytest.mark.parametrize("name", FAMILIES)
def test_half_precision_follows_the_same_path(name):
    golden = tensors(name)
    noise, context = golden["in.noise"].bfloat16(), golden["mid.cond"][:1].bfloat16()
    denoiser = _denoiser(name).bfloat16()
    result = sample(denoiser, SCHEDULES[name], noise, context, guidance=Guidance(5.0))
    spread = golden["out.latents"].std()
    off = (result.float() - golden["out.latents"]).abs() / spread
    assert result.dtype == torch.bfloat16
    assert off.max() < 0.12
    assert off.mean() < 0.025
