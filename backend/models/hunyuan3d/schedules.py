"""When the denoisers are asked: the schedules of the published models. Imports torch.

All run from 0, which is noise, to 1, which is data, and are kept on the host.
"""

from __future__ import annotations

import torch
from torch import Tensor

from backend.models.hunyuan3d.denoiser import Schedule

TRAINING_TIMES = 1000


def euler_schedule(steps: int, shift: float = 1.0) -> Schedule:
    """Spread the calls evenly, the last of them at 1.

    The original has it so: the last call already gets the data and its step has no length.

    Parameters
    ----------
    steps : int
        At least 1.
    shift : float
        Above 1 more of the calls are near the data; 1 in all published models.

    Raises
    ------
    ValueError
        There is no step, or the shift is not above 0.

    Source
    ------
    Lipman et al., Flow Matching for Generative Modeling (2022); the shift: Esser et al., Scaling
    Rectified Flow Transformers for High-Resolution Image Synthesis (2024).
    """
    _check(steps)
    return _ending_in_data(_shifted(torch.linspace(0, 1, steps, dtype=torch.float64), shift))


def even_schedule(steps: int, shift: float = 1.0) -> Schedule:
    """Spread the calls evenly, the last of them one step before 1.

    TripoSG counts from 1, which is noise, down to 0: sigma = 1 - i / 1000 at even distances of
    i. Here that is 1 - sigma. Whether the original takes exactly these i is not checked.

    Parameters
    ----------
    steps, shift
        As for ``euler_schedule``.

    Raises
    ------
    ValueError
        There is no step, or the shift is not above 0.

    Source
    ------
    Li et al., TripoSG: High-Fidelity 3D Shape Synthesis using Large-Scale Rectified Flow Models
    (2025).
    """
    _check(steps)
    return _ending_in_data(_shifted(torch.arange(steps, dtype=torch.float64) / steps, shift))


def consistency_schedule(steps: int, grid_size: int) -> Schedule:
    """Take the times from the coarse grid on which a model was distilled.

    Parameters
    ----------
    steps : int
        At least 1. Of more than the grid has times, some have no length, as in the original.
    grid_size : int
        Times of the grid, published as ``pcm_timesteps``; from 1 to 1000.

    Raises
    ------
    ValueError
        One of the two is out of range.

    Source
    ------
    Wang et al., Phased Consistency Models (2024).
    """
    if not 1 <= grid_size <= TRAINING_TIMES:
        raise ValueError(f"a grid of {grid_size} times; from 1 to {TRAINING_TIMES} can be taken")
    _check(steps)
    stride = TRAINING_TIMES // grid_size
    last_of_each = (torch.arange(grid_size) * stride - 1).clamp(min=0)
    # in float64 and rounded down, as published: an exact quotient may come out a little lower
    chosen = (torch.arange(steps, dtype=torch.float64) * (grid_size / steps)).long()
    return _ending_in_data(last_of_each[chosen].double() / (TRAINING_TIMES - 1))


def _check(steps: int) -> None:
    if steps < 1:
        raise ValueError(f"{steps} steps; at least 1 can be made")


def _shifted(times: Tensor, shift: float) -> Tensor:
    if shift <= 0:
        raise ValueError(f"a shift of {shift}; it must be above 0")
    return shift * times / (1 + (shift - 1) * times)


def _ending_in_data(times: Tensor) -> Schedule:
    return Schedule(torch.cat([times, times.new_ones(1)]).float())
