"""The loop: on the recorded network, and on a velocity that can be written down."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
import torch

from backend.choices import PartSolver
from backend.models.hunyuan3d.denoiser import Schedule
from backend.models.xpart.denoiser_config import X_PART
from backend.models.xpart.part_sampler import (
    call_times,
    part_noise,
    part_rows,
    part_schedule,
    sample_parts,
)
from tests.models.xpart.part_golden import config, contexts, denoiser, golden

EULER, MIDPOINT = PartSolver.EULER, PartSolver.MIDPOINT


class _Growth:
    """Velocity = latents + time, of which the way is known exactly."""

    def __init__(self, schedule, solver):
        self.times = call_times(schedule, solver)
        self.told = []

    def __call__(self, latents, prepared, step):
        assert prepared == "as it is"
        self.told.append(step)
        return latents + self.times.to(latents.device)[step].to(latents.dtype)

    @staticmethod
    def exactly(start):
        return (start + 1) * math.e - 2


def follow(schedule, latents, solver=EULER, **more):
    growth = _Growth(schedule, solver)
    return sample_parts(growth, schedule, latents, "as it is", solver, **more), growth


def test_the_schedule_is_the_published_one():
    assert torch.equal(part_schedule(50).sigmas, golden()["sched50.sigmas"])
    torch.testing.assert_close(
        1000 * part_schedule(50).times, golden()["sched50.timesteps"], rtol=1e-6, atol=0
    )


def recorded_loop(schedule):
    """Follow the recorded network, in which each part gets another row at every step."""
    given, network = golden(), denoiser()
    prepared = [
        network.prepare(contexts().whole, contexts().own, schedule.times, rows)
        for rows in given["loop.part_embed_idx_per_step"]
    ]
    places = []

    def redrawn(latents, _, step):
        places.append(latents)
        return network(latents, prepared[int(step)], step)

    latents = sample_parts(redrawn, schedule, given["loop.in_latents"], None)
    return [*places[1:], latents]


def test_a_trajectory_is_the_published_one():
    schedule = part_schedule(6)
    assert torch.equal(schedule.sigmas, golden()["loop.sigmas"])
    after = recorded_loop(schedule)
    assert len(after) == 5
    for step, latents in enumerate(after):
        torch.testing.assert_close(
            latents, golden()[f"loop.latents_after_{step}"], rtol=0, atol=4e-6
        )


def test_the_step_that_is_left_out_changes_nothing():
    assert torch.equal(golden()["loop.latents_after_5"], golden()["loop.latents_after_4"])
    start = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(2))
    result, growth = follow(part_schedule(6), start)
    assert len(growth.told) == 5
    by_hand, sigmas = start, part_schedule(6).sigmas
    for time, following in itertools.pairwise(sigmas):  # all six of them
        by_hand = by_hand + (following - time) * (by_hand + time)
    assert torch.equal(result, by_hand)


@pytest.mark.parametrize(("solver", "calls", "made"), [(EULER, 1, 2.0), (MIDPOINT, 2, 3.0)])
def test_one_step_goes_all_the_way(solver, calls, made):
    """From 1: 1 + 1 in a straight line; 1 + (1.5 + 0.5) with what is found halfway."""
    result, growth = follow(part_schedule(1), torch.ones(1, 1, 1), solver)
    assert len(growth.told) == calls
    assert result.item() == pytest.approx(made)


def test_no_step_is_refused():
    with pytest.raises(ValueError, match="0 steps"):
        part_schedule(0)


@pytest.mark.parametrize(("solver", "order"), [(EULER, 1), (MIDPOINT, 2)])
def test_half_as_long_steps_bring_the_error_down_by_the_order(solver, order):
    start = torch.full((1, 2, 2), 0.5, dtype=torch.float32)
    errors = []
    for steps in (9, 17):
        result, growth = follow(part_schedule(steps), start, solver)
        assert len(growth.told) == len(growth.times) == order * (steps - 1)
        errors.append(abs(result - _Growth.exactly(start)).max().item())
    assert errors[0] / errors[1] == pytest.approx(2**order, rel=0.1)


def test_calls_of_second_order_are_halfway_too():
    schedule = Schedule(torch.tensor([0.0, 0.5, 1.0, 1.0]))
    assert call_times(schedule, EULER).tolist() == [0.0, 0.5]
    assert call_times(schedule, MIDPOINT).tolist() == [0.0, 0.25, 0.5, 0.75]


@pytest.mark.parametrize(("solver", "calls"), [(EULER, 3), (MIDPOINT, 6)])
def test_each_call_is_told_before_it_is_made_and_may_end_it(solver, calls):
    class Enough(Exception):
        pass

    told = []

    def stop(call, of):
        told.append((call, of))
        if call == calls - 1:
            raise Enough

    growth = _Growth(part_schedule(4), solver)
    with pytest.raises(Enough):
        sample_parts(growth, part_schedule(4), torch.ones(1, 1, 1), "as it is", solver, stop)
    assert told == [(call, calls) for call in range(calls)]
    assert [step.tolist() for step in growth.told] == [[call] for call in range(calls - 1)]


def test_steps_add_up_in_float32_and_are_rounded_each_time():
    start = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(4)).bfloat16()
    schedule = part_schedule(5)
    by_hand = start
    for time, length in zip(schedule.times[:-1], schedule.steps[:-1], strict=True):
        velocity = by_hand + time.bfloat16()
        by_hand = (by_hand.float() + length * velocity.float()).bfloat16()
    result, _ = follow(schedule, start)
    assert result.dtype == torch.bfloat16
    assert torch.equal(result, by_hand)


@pytest.mark.parametrize("solver", PartSolver)
def test_the_host_does_not_ask_the_device_for_values(solver):
    """Tensors on the meta device have none."""
    result, _ = follow(part_schedule(4), torch.ones(2, 3, 4, device="meta"), solver)
    assert result.shape == (2, 3, 4)


def test_a_part_keeps_its_row_and_no_two_of_fifty_share_one():
    rows = part_rows(5, 50)
    assert sorted(rows.tolist()) == list(range(50))
    assert torch.equal(part_rows(5, 7), rows[:7])
    assert not torch.equal(part_rows(6, 50), rows)
    assert part_rows(5, 0).shape == (0,)


def test_parts_that_share_a_row_are_as_far_apart_as_can_be():
    rows = part_rows(9, 23, rows=10)
    assert torch.equal(rows[10:20], rows[:10])
    assert all(len(set(rows[first : first + 10].tolist())) == 10 for first in range(14))


def test_noise_of_a_part_does_not_depend_on_how_many_there_are():
    noise = part_noise(3, 4, config())
    assert noise.shape == (4, 12, 8)
    assert torch.equal(part_noise(3, 2, config()), noise[:2])
    assert torch.equal(part_noise(3, 4, config(), torch.bfloat16), noise.bfloat16())
    assert len({float(one.sum()) for one in noise}) == 4


def test_neighbouring_seeds_share_no_noise():
    """As they would if parts counted on from the seed."""
    seen = torch.cat([part_noise(seed, 3, config()) for seed in (0, 1, 2**32 - 1)])
    assert len({float(one.sum()) for one in seen}) == 9
    many = part_noise(0, 4, replace(X_PART, tokens=128))
    assert abs(many.mean().item()) < 0.02
    assert abs(many.std().item() - 1) < 0.02


def test_drawing_leaves_the_state_of_the_process_alone():
    before = torch.get_rng_state()
    part_noise(1, 2, config())
    part_rows(1, 2)
    assert torch.equal(torch.get_rng_state(), before)
