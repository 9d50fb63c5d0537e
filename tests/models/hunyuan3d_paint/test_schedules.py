from __future__ import annotations

import pytest
import torch

from backend.models.hunyuan3d_paint.schedules import (
    PUBLISHED_DELIGHT,
    PaintSchedule,
    Solver,
    initial_noise,
)
from tests.models.hunyuan3d_paint.paint_golden import tensors

# diffusers makes arrays of tensors in a way that numpy will stop to allow.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

RECORDED = {
    Solver.UNIPC: ("unipc15", "unipc", 15),
    Solver.EULER_ANCESTRAL: ("euler_a30", "euler", 30),
    Solver.LCM: ("lcm10", "lcm", 10),
}


def schedule(solver, steps, **settings):
    return PaintSchedule(solver, steps, torch.Generator().manual_seed(1), **settings)


def velocity(latents, time):
    """The network that the schedules were recorded with."""
    mixed = torch.einsum("ab,nbhw->nahw", tensors("sched")["W"], latents)
    return mixed * torch.cos(time / 500)


@pytest.mark.parametrize("solver", Solver)
def test_latents_end_where_those_of_the_original_do(solver):
    name, short, steps = RECORDED[solver]
    followed, given = schedule(solver, steps), tensors("sched")
    assert torch.equal(followed.times, given[f"{short}_t"].float())
    latents = followed.begin(given["x0"])
    for step, time in enumerate(followed.times):
        asked = followed.asked(latents, step)
        latents = followed.followed(latents, velocity(asked, time), step)
    torch.testing.assert_close(latents, given[name], rtol=0, atol=1e-4)


@pytest.mark.parametrize("solver", [Solver.UNIPC, Solver.EULER_ANCESTRAL])
def test_the_first_step_has_no_signal(solver):
    _, short, steps = RECORDED[solver]
    found = schedule(solver, steps).sigmas
    torch.testing.assert_close(found, tensors("sched")[f"{short}_sigmas"])
    torch.testing.assert_close(found[0], torch.tensor(4096.0), rtol=1e-6, atol=0)


def test_what_is_drawn_comes_from_the_generator_alone():
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first, second = (_one_step(torch.Generator().manual_seed(seed)) for seed in (3, 3))
    assert torch.equal(first, second)
    assert not torch.equal(first, _one_step(torch.Generator().manual_seed(4)))
    assert torch.equal(state, torch.get_rng_state())


def _one_step(generator):
    followed = PaintSchedule(Solver.EULER_ANCESTRAL, 3, generator)
    latents = followed.begin(initial_noise(generator, 2, 4, 6))
    assert latents.shape == (2, 4, 4, 6)
    return followed.followed(latents, 0 * followed.asked(latents, 0), 0)


def test_light_is_taken_out_on_the_usual_times():
    found = schedule(Solver.EULER_ANCESTRAL, 50, settings=PUBLISHED_DELIGHT)
    assert found.times[:2].tolist() == [981, 961]
    assert found.sigmas[0] < 15


@pytest.mark.parametrize(("solver", "steps"), [(Solver.UNIPC, 0), (Solver.LCM, 31)])
def test_steps_out_of_range_are_refused(solver, steps):
    with pytest.raises(ValueError, match=f"{steps} steps"):
        schedule(solver, steps)
