"""Work that can be left out without changing the result, each with its own switch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Savings:
    """Which savings are on. All of them give the same result but for rounding.

    Parameters
    ----------
    last_step : bool
        Skip an Euler step of length zero.
    lone_blank_token : bool
        2.0 family: run the unconditional branch with one context token whose attention logit is
        raised by the logarithm of how many equal tokens it stands for.
    blank_cross_attention : bool
        2.1: without context the cross-attention is its output bias.
    step_invariants : bool
        Keys and values of the context, and all that depends on time alone, once per schedule.
    grid_keys : bool
        Keys and values of the geometry decoder once per mesh.
    sorted_experts : bool
        Mixture of experts: tokens sorted by expert on the device, without asking the host.
    """

    last_step: bool = True
    lone_blank_token: bool = True
    blank_cross_attention: bool = True
    step_invariants: bool = True
    grid_keys: bool = True
    sorted_experts: bool = True


ALL_SAVINGS = Savings()
NO_SAVINGS = Savings(*(False,) * 6)
