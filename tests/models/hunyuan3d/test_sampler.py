"""The loop itself, on a denoiser whose velocity can be written down."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from backend.models.hunyuan3d.denoiser import Schedule
from backend.models.hunyuan3d.sampler import Guidance, initial_latents, sample
from backend.models.hunyuan3d.savings import ALL_SAVINGS, NO_SAVINGS
from backend.models.hunyuan3d.schedules import consistency_schedule, euler_schedule
from tests.models.golden_files import tensors


@dataclass(frozen=True)
class _Given:
    pull: Tensor
    times: Tensor
    guidance: float | None


class _Linear:
    """Velocity = context + guidance + time - latents / 2."""

    latent_channels = 3

    def __init__(self, *, has_guidance_input: bool = False) -> None:
        self.has_guidance_input = has_guidance_input
        self.prepared: list[str] = []
        self.batches: list[int] = []

    def prepare(self, context, times, guidance=None, savings=ALL_SAVINGS):
        self.prepared.append("given")
        return _Given(context.mean(dim=1, keepdim=True), times, guidance)

    def prepare_blank(self, context, times, guidance=None, savings=ALL_SAVINGS):
        self.prepared.append("blank")
        return _Given(torch.zeros_like(context).mean(dim=1, keepdim=True), times, guidance)

    def prepare_pair(self, context, times, savings=ALL_SAVINGS):
        self.prepared.append("pair")
        both = torch.cat([context, torch.zeros_like(context)])
        return _Given(both.mean(dim=1, keepdim=True), times, None)

    def __call__(self, latents, conditioning, step):
        self.batches.append(len(latents))
        time = conditioning.times[step].to(latents.dtype)
        return conditioning.pull + (conditioning.guidance or 0) + time - latents / 2


class _Recorded(_Linear):
    """Velocities written down beforehand."""

    def __init__(self, velocities: Tensor) -> None:
        super().__init__()
        self._velocities = velocities

    def __call__(self, latents, conditioning, step):
        return self._velocities[int(step)]


def _inputs(batch: int = 2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    latents = torch.randn(batch, 4, 3, generator=generator)
    return latents, torch.randn(batch, 5, 3, generator=generator)


def _by_hand(schedule: Schedule, latents: Tensor, pull: Tensor) -> Tensor:
    for time, length in zip(schedule.times, schedule.steps, strict=True):
        latents = latents + length * (pull + time - latents / 2)
    return latents


@pytest.mark.parametrize(
    ("name", "schedule"),
    [("euler", euler_schedule(5)), ("pcm100", consistency_schedule(5, 100))],
)
@pytest.mark.parametrize("savings", [ALL_SAVINGS, NO_SAVINGS])
def test_steps_are_those_of_the_original(name, schedule, savings):
    golden = tensors("schedulers")
    unguided = Guidance(None)
    for steps in range(1, 6):
        start = Schedule(schedule.sigmas[: steps + 1])
        denoiser = _Recorded(golden["traj.v"])
        context = torch.zeros(1, 1, 3)
        result = sample(
            denoiser, start, golden["traj.x0"], context, guidance=unguided, savings=savings
        )
        torch.testing.assert_close(result, golden[f"traj.{name}"][steps - 1], rtol=0, atol=1e-6)


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("scale", [0.0, 1.0, 5.0])
def test_guidance_goes_beyond_what_the_context_makes_of_it(joint, scale):
    latents, context = _inputs()
    schedule = euler_schedule(7)
    result = sample(_Linear(), schedule, latents, context, guidance=Guidance(scale, joint=joint))
    pull = scale * context.mean(dim=1, keepdim=True)  # the one without context is 0
    torch.testing.assert_close(result, _by_hand(schedule, latents, pull), rtol=0, atol=1e-5)


@pytest.mark.parametrize("scale", [None, -1.0])
def test_without_a_scale_no_pass_is_made_without_context(scale):
    latents, context = _inputs()
    schedule = euler_schedule(7)
    denoiser = _Linear()
    result = sample(denoiser, schedule, latents, context, guidance=Guidance(scale, joint=True))
    pull = context.mean(dim=1, keepdim=True)
    torch.testing.assert_close(result, _by_hand(schedule, latents, pull), rtol=0, atol=1e-5)
    assert denoiser.prepared == ["given"]
    assert denoiser.batches == [2] * 6


def test_a_network_with_guidance_as_an_input_makes_one_pass():
    latents, context = _inputs()
    schedule = consistency_schedule(5, 100)
    denoiser = _Linear(has_guidance_input=True)
    result = sample(denoiser, schedule, latents, context, guidance=Guidance(2.0, joint=True))
    pull = context.mean(dim=1, keepdim=True) + 2
    torch.testing.assert_close(result, _by_hand(schedule, latents, pull), rtol=0, atol=1e-5)
    assert denoiser.prepared == ["given"]
    assert denoiser.batches == [2] * 5


def test_a_network_with_guidance_as_an_input_needs_a_scale():
    latents, context = _inputs()
    denoiser = _Linear(has_guidance_input=True)
    with pytest.raises(ValueError, match="scale is needed"):
        sample(denoiser, euler_schedule(3), latents, context, guidance=Guidance(None))


@pytest.mark.parametrize(
    ("joint", "prepared", "batches"),
    [(False, ["given", "blank"], [2] * 8), (True, ["pair"], [4] * 4)],
)
def test_conditionings_are_prepared_once_and_a_step_of_no_length_is_not_made(
    joint, prepared, batches
):
    latents, context = _inputs()
    denoiser = _Linear()
    told = []
    sample(
        denoiser,
        euler_schedule(5),
        latents,
        context,
        guidance=Guidance(5.0, joint=joint),
        on_step=lambda index, steps: told.append((index, steps)),
    )
    assert denoiser.prepared == prepared
    assert denoiser.batches == batches
    assert told == [(index, 4) for index in range(4)]


@pytest.mark.parametrize("joint", [False, True])
def test_leaving_out_the_last_step_does_not_change_a_bit(joint):
    latents, context = _inputs()
    results = []
    for savings in (ALL_SAVINGS, NO_SAVINGS):
        denoiser = _Linear()
        guidance = Guidance(5.0, joint=joint)
        results.append(
            sample(
                denoiser, euler_schedule(6), latents, context, guidance=guidance, savings=savings
            )
        )
        assert len(denoiser.batches) * (1 + joint) == 10 + 2 * (savings is NO_SAVINGS)
    assert torch.equal(*results)


def test_one_joint_call_equals_two():
    latents, context = _inputs()
    results = [
        sample(_Linear(), euler_schedule(6), latents, context, guidance=Guidance(5.0, joint=joint))
        for joint in (False, True)
    ]
    torch.testing.assert_close(*results, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("joint", "until", "prepared", "batches"),
    [
        (False, 0.5, ["given", "blank"], [2, 2, 2, 2, 2, 2]),
        (True, 0.5, ["given", "pair"], [4, 4, 2, 2]),
        (True, 0.0, ["given"], [2] * 4),
    ],
)
def test_guidance_can_end_early(joint, until, prepared, batches):
    latents, context = _inputs()
    schedule = euler_schedule(5)
    denoiser = _Linear()
    guidance = Guidance(5.0, joint=joint, until=until)
    result = sample(denoiser, schedule, latents, context, guidance=guidance)
    assert denoiser.prepared == prepared
    assert denoiser.batches == batches
    pull = context.mean(dim=1, keepdim=True)
    guided = round(until * 4)
    halfway = _by_hand(Schedule(schedule.sigmas[: guided + 1]), latents, 5 * pull)
    expected = _by_hand(Schedule(schedule.sigmas[guided:]), halfway, pull)
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-5)


def test_a_share_of_the_steps_lies_between_none_and_all():
    with pytest.raises(ValueError, match=r"1\.5"):
        Guidance(until=1.5)


def test_what_is_told_before_a_step_can_end_it():
    class Enough(Exception):
        pass

    def stop(index: int, steps: int) -> None:
        if index == 2:
            raise Enough

    latents, context = _inputs()
    denoiser = _Linear()
    with pytest.raises(Enough):
        sample(denoiser, euler_schedule(9), latents, context, guidance=Guidance(None), on_step=stop)
    assert len(denoiser.batches) == 2


def test_steps_add_up_in_float32_and_are_rounded_each_time():
    latents, context = (tensor.half() for tensor in _inputs())
    schedule = euler_schedule(4)
    expected = latents
    for time, length in zip(schedule.times, schedule.steps, strict=True):
        velocity = context.mean(dim=1, keepdim=True) + time.half() - expected / 2
        expected = (expected.float() + length * velocity.float()).half()
    result = sample(_Linear(), schedule, latents, context, guidance=Guidance(None))
    assert result.dtype == torch.float16
    assert torch.equal(result, expected)


@pytest.mark.parametrize("joint", [False, True])
def test_the_host_does_not_ask_the_device_for_values(joint):
    """Tensors on the meta device have none."""
    latents, context = (tensor.to("meta") for tensor in _inputs())
    result = sample(
        _Linear(), euler_schedule(4), latents, context, guidance=Guidance(5.0, joint=joint)
    )
    assert result.device.type == "meta"
    assert result.shape == latents.shape


def test_no_gradients_are_kept_and_the_noise_is_not_overwritten():
    latents, context = _inputs()
    before = latents.clone()
    result = sample(
        _Linear(), euler_schedule(4), latents, context.requires_grad_(), guidance=Guidance()
    )
    assert not result.requires_grad
    assert torch.equal(latents, before)


def test_noise_of_an_item_does_not_depend_on_its_batch():
    together = initial_latents([7, 8, 7], 16, 4)
    assert torch.equal(together[1:2], initial_latents([8], 16, 4))
    assert torch.equal(together[0], together[2])
    assert not torch.equal(together[0], together[1])


def test_noise_is_drawn_in_float32_and_rounded():
    wide = initial_latents([5], 512, 8)
    assert torch.equal(initial_latents([5], 512, 8, dtype=torch.bfloat16), wide.bfloat16())
    assert wide.dtype == torch.float32
    assert abs(wide.mean().item()) < 0.05
    assert abs(wide.std().item() - 1) < 0.05


def test_drawing_noise_leaves_the_state_of_the_process_alone():
    before = torch.get_rng_state()
    initial_latents([1, 2], 8, 4)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_step_is_told_as_a_tensor_which_compiled_code_does_not_depend_on():
    class Watched(_Linear):
        def __call__(self, latents, conditioning, step):
            told.append(step)
            return super().__call__(latents, conditioning, step)

    told: list[Tensor] = []
    latents, context = _inputs()
    sample(Watched(), euler_schedule(4), latents, context, guidance=Guidance(None))
    assert [step.tolist() for step in told] == [[0], [1], [2]]
