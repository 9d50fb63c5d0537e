from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from backend.models.hunyuan3d_paint.paint_sampler import paint, prepared_rows
from backend.models.hunyuan3d_paint.paint_savings import ALL_SAVINGS
from backend.models.hunyuan3d_paint.schedules import PaintSchedule, Solver, initial_noise
from backend.models.hunyuan3d_paint.view_inputs import GuidanceRow
from tests.models.hunyuan3d_paint import paint_golden

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

STEPS = 2


@pytest.fixture(scope="module")
def network():
    return paint_golden.network()


class Asked:
    """Notes which row is asked for when."""

    def __init__(self, network, rows):
        self.calls = []
        self._network, self._rows = network, rows

    def __call__(self, latents, time, prepared):
        row = next(row for row, one in self._rows.items() if one is prepared)
        self.calls.append((float(time), row))
        return self._network(latents, time, prepared)


def painted(
    network, guidance, savings=ALL_SAVINGS, solver=Solver.UNIPC, dtype=torch.float32, **options
):
    generator = torch.Generator().manual_seed(1)
    rows = prepared_rows(network, paint_golden.views(dtype), guidance, savings)
    ask = Asked(network, rows)
    latents = paint(
        ask,
        PaintSchedule(solver, STEPS, generator),
        initial_noise(generator, 6, 16, 16),
        rows,
        guidance=guidance,
        **options,
    )
    return latents, ask.calls


def test_two_rows_give_what_three_do(network):
    two, calls = painted(network, 3.0)
    assert [row for _, row in calls] == [GuidanceRow.BLANK, GuidanceRow.FULL] * STEPS
    three, more = painted(network, 3.0, replace(ALL_SAVINGS, two_rows=False))
    assert len(more) == 3 * STEPS
    torch.testing.assert_close(two, three, rtol=0, atol=2e-4)


@pytest.mark.parametrize("guidance", [None, 1])
def test_without_guidance_one_row_is_asked(network, guidance):
    _, calls = painted(network, guidance)
    assert [row for _, row in calls] == [GuidanceRow.FULL] * STEPS


def test_guidance_goes_beyond_what_the_picture_changes():
    """A network whose answer does not depend on the latents shows the formula."""
    rows = {row: _Row(number) for number, row in enumerate((GuidanceRow.BLANK, GuidanceRow.FULL))}
    seen = []

    class Watching(_Still):
        def followed(self, latents, velocity, step):
            seen.append(float(velocity.mean()))
            return latents

    ask = lambda latents, time, one: torch.full_like(latents, one.answer)  # noqa: E731
    paint(ask, Watching(), torch.zeros(1, 4, 2, 2), rows, guidance=3.0)
    assert seen == [3.0]


class _Row:
    maps = torch.zeros(0)

    def __init__(self, answer):
        self.answer = answer


class _Still:
    times = torch.tensor([999.0])

    def begin(self, noise):
        return noise

    def asked(self, latents, step):
        return latents


def test_a_step_is_told_before_it_is_made_and_may_be_refused(network):
    told = []

    def on_step(step, steps):
        told.append((step, steps))
        if step == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        painted(network, None, on_step=on_step)
    assert told == [(0, STEPS), (1, STEPS)]


def test_latents_stay_exact_between_calls_of_a_network_in_half_precision():
    small = paint_golden.network(torch.bfloat16)
    latents, _ = painted(small, 2.0, solver=Solver.EULER_ANCESTRAL, dtype=torch.bfloat16)
    assert latents.dtype == torch.float32
    assert latents.isfinite().all()
    assert latents.std() < 100  # of the 4096 that it begins with nothing is left
    assert not torch.equal(latents, latents.bfloat16().float())
