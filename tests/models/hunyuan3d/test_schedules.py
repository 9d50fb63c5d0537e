from __future__ import annotations

import numpy as np
import pytest
import torch

from backend.models.hunyuan3d.schedules import (
    consistency_schedule,
    euler_schedule,
    even_schedule,
)
from tests.models.golden_files import tensors

FAMILIES = {
    "euler": euler_schedule,
    "euler_shift3": lambda steps: euler_schedule(steps, shift=3.0),
    "pcm50": lambda steps: consistency_schedule(steps, 50),
    "pcm100": lambda steps: consistency_schedule(steps, 100),
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("steps", [5, 30, 50])
def test_times_are_those_of_the_original(family, steps):
    golden = tensors("schedulers")
    schedule = FAMILIES[family](steps)
    sigmas = golden[f"{family}.{steps}.sigmas"]
    torch.testing.assert_close(schedule.sigmas, sigmas, rtol=0, atol=1e-6)
    timesteps = golden.get(f"{family}.{steps}.timesteps", 1000 * sigmas[:-1])
    torch.testing.assert_close(schedule.times * 1000, timesteps, rtol=0, atol=1e-3)


def test_every_recorded_schedule_is_checked():
    named = {f"{family}.{steps}.sigmas" for family in FAMILIES for steps in (5, 30, 50)}
    assert named == {name for name in tensors("schedulers") if name.endswith("sigmas")}


def test_only_the_euler_schedule_ends_in_a_step_of_no_length():
    assert euler_schedule(5).steps[-1] == 0
    assert (euler_schedule(5).steps[:-1] > 0).all()
    assert (consistency_schedule(5, 100).steps > 0).all()
    assert (even_schedule(5).steps > 0).all()


def test_the_even_schedule_mirrors_one_that_counts_down_from_noise():
    down = torch.tensor([1 - i / 1000 for i in range(0, 1000, 20)])
    torch.testing.assert_close(even_schedule(50).times, 1 - down, rtol=0, atol=1e-6)


def test_one_step_goes_from_noise_to_data():
    for schedule in (euler_schedule(1), even_schedule(1), consistency_schedule(1, 50)):
        assert schedule.sigmas.tolist() == [0, 1]
        assert schedule.sigmas.dtype == torch.float32


@pytest.mark.parametrize(("steps", "grid_size"), [(3, 50), (49, 50), (60, 50), (7, 4), (38, 250)])
def test_distilled_times_follow_their_formula_with_any_number_of_steps(steps, grid_size):
    """Written out with numpy, as published; with more steps than times some have no length."""
    ratio = 1000 // grid_size
    places = np.array([0] + [k * ratio - 1 for k in range(1, grid_size)])
    grid = np.linspace(0, 1, 1000)[places]
    chosen = np.floor(np.linspace(0, grid_size, steps, endpoint=False)).astype(int)
    schedule = consistency_schedule(steps, grid_size)
    assert schedule.sigmas.tolist() == pytest.approx([*grid[chosen], 1.0], abs=1e-6)
    assert (schedule.steps >= 0).all()
    assert bool((schedule.steps == 0).any()) is (steps > grid_size)


@pytest.mark.parametrize(
    "make",
    [
        lambda: euler_schedule(0),
        lambda: even_schedule(-1),
        lambda: euler_schedule(5, shift=0),
        lambda: consistency_schedule(0, 50),
        lambda: consistency_schedule(5, 0),
        lambda: consistency_schedule(5, 1001),
    ],
)
def test_what_is_out_of_range_is_refused(make):
    with pytest.raises(ValueError, match=r"steps|shift|times"):
        make()
