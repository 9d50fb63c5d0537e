from __future__ import annotations

import math

import torch

from backend.models.hunyuan3d.flux_modulations import sinusoids


def test_cosines_come_first_and_periods_grow_to_a_thousand():
    waves = sinusoids(torch.tensor([0.25]))[0].double()
    for index in (0, 1, 64, 127):
        phase = 1000 * 0.25 * 1000 ** (-index / 128)
        assert math.isclose(waves[index], math.cos(phase), abs_tol=3e-5)
        assert math.isclose(waves[128 + index], math.sin(phase), abs_tol=3e-5)


def test_sinusoids_keep_their_phase_whatever_the_dtype_of_the_network():
    assert sinusoids(torch.tensor([5.0])).dtype is torch.float32
