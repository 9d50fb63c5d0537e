"""Forwards of a network timed in other ways, on a clock that the network itself moves."""

from __future__ import annotations

import contextlib

import pytest
import torch
from torch import nn

from backend.engines import model_probe
from backend.engines.compile_trial import CompiledTimes
from backend.engines.forward_timing import FEWEST_ROUNDS, MOST_ROUNDS
from backend.engines.model_probe import time_models
from backend.errors import DeviceLost

STAGE = "shape_generation/denoise"


class MovedClock:
    """Moves while a network computes."""

    def __init__(self) -> None:
        self.at_s = 0.0

    def now(self):
        raise AssertionError("the wall clock has no part in it")

    def monotonic_s(self) -> float:
        return self.at_s


class Network(nn.Module):
    """Takes 10 ms for the call and 2 ms an item; half of that in 16 bits."""

    def __init__(self, clock, dtype=torch.float32):
        super().__init__()
        self.layer = nn.Linear(4, 4, dtype=dtype)
        self.clock = clock
        self.batches = []
        self.fails_at = {}

    def forward(self, latents, table, scale=None):
        assert torch.is_inference_mode_enabled()
        batch = len(latents)
        self.batches.append(batch)
        if batch in self.fails_at:
            raise self.fails_at[batch]
        factor = 0.5 if torch.is_autocast_enabled("cpu") else 1.0
        self.clock.at_s += factor * (0.010 + 0.002 * batch)
        return self.layer(latents.to(self.layer.weight.dtype)) + table


class Model:
    """What an engine hosts."""

    def __init__(self, module, name="denoiser", stage=STAGE, batch=2, autocast_dtype=None):
        self.name, self.module, self.stage = name, module.eval(), stage
        self.autocast_dtype = autocast_dtype
        self._batch = batch

    def example(self):
        return (torch.randn(self._batch, 4), torch.randn(3, 1, 4)[0]), {"scale": 2.0}


@pytest.fixture
def clock():
    return MovedClock()


@pytest.fixture
def computes_bf16(monkeypatch):
    """A device that computes in bf16."""
    monkeypatch.setattr(model_probe, "_computes_bf16", lambda device: True)


def never():
    return False


def timed(clock, *models, stop=never, **options):
    return time_models(models, clock, stop, **options)


def test_each_way_is_timed_in_turns(clock, computes_bf16):
    module = Network(clock)
    times = timed(clock, Model(module))[STAGE]
    assert times.single_s == pytest.approx(0.014)
    assert times.double_s == pytest.approx(0.018)
    assert times.bf16_factor == pytest.approx(2.0)
    assert times.fits is True
    assert (times.eager_s, times.compiled_s, times.compile_s) == (None, None, None)
    turns = module.batches[4:]
    assert turns[:6] == [2, 4, 2, 2, 4, 2], "forwards, then backwards"
    assert len(turns) == 3 * MOST_ROUNDS
    assert times.to_document()["model"] == "denoiser"


def test_weights_and_random_numbers_stay_as_they_were(clock):
    module = Network(clock)
    weights = module.layer.weight.detach().clone()
    torch.manual_seed(5)
    expected = torch.randn(3)
    torch.manual_seed(5)
    timed(clock, Model(module))
    assert torch.equal(torch.randn(3), expected)
    assert torch.equal(module.layer.weight, weights)
    assert module.layer.weight.grad is None


@pytest.mark.parametrize(
    ("error", "fits"),
    [(RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), False), (ValueError("2"), None)],
)
def test_a_doubled_batch_that_fails_leaves_the_rest(clock, error, fits):
    module = Network(clock)
    module.fails_at[4] = error
    times = timed(clock, Model(module))[STAGE]
    assert (times.double_s, times.fits) == (None, fits)
    assert times.single_s == pytest.approx(0.014)
    assert module.batches.count(4) == 1


def test_a_lost_device_is_told(clock):
    module = Network(clock)
    module.fails_at[4] = RuntimeError("CUDA error: an illegal memory access was encountered")
    with pytest.raises(DeviceLost):
        timed(clock, Model(module))


def test_a_processor_is_not_asked_for_bf16(clock):
    module = Network(clock)
    times = timed(clock, Model(module))[STAGE]
    assert times.bf16_factor is None
    assert times.single_s == pytest.approx(0.014)


def test_what_computes_in_16_bits_is_not_tried_in_bf16(clock, computes_bf16):
    narrow = Model(Network(clock, torch.bfloat16))
    assert timed(clock, narrow)[STAGE].bf16_factor is None
    cast = Model(Network(clock), autocast_dtype=torch.bfloat16)
    times = timed(clock, cast)[STAGE]
    assert times.bf16_factor is None
    assert times.single_s == pytest.approx(0.007), "timed as it ran"


def test_somebody_who_waits_ends_it_before_the_next_forward(clock):
    module, other = Network(clock), Network(clock)
    models = [Model(module), Model(other, "decoder", "shape_generation/decode_volume")]
    calls = []

    def stop():
        calls.append(1)
        return len(calls) > 40

    assert set(timed(clock, *models, stop=stop)) == {STAGE}
    assert len(module.batches) + len(other.batches) == 40
    assert timed(clock, *models, stop=lambda: True) == {}


def test_all_of_it_stays_within_its_time(clock):
    models = [Model(Network(clock), f"m{n}", f"s{n}") for n in range(4)]
    found = timed(clock, *models, limit_s=1.2)
    assert len(found) == 4
    assert clock.at_s < 1.2
    rounds = (len(models[0].module.batches) - 3) / 2
    assert FEWEST_ROUNDS <= rounds < MOST_ROUNDS


def test_a_slow_network_gets_its_three_rounds_and_one_that_is_too_slow_none(clock):
    slow = Model(Network(clock), batch=100)
    assert timed(clock, slow, limit_s=0.5)[STAGE].single_s > 0.2
    assert (len(slow.module.batches) - 3) / 2 == FEWEST_ROUNDS
    assert timed(clock, Model(Network(clock), batch=1000)) == {}


def test_of_two_networks_in_a_stage_the_slower_is_told(clock):
    small, large = Model(Network(clock), "small", batch=1), Model(Network(clock), "large", batch=9)
    for order in ([small, large], [large, small]):
        assert timed(clock, *order)[STAGE].model == "large"


def test_what_cannot_be_run_now_is_left_out(clock):
    training = Model(Network(clock))
    training.module.train()
    elsewhere = Model(Network(clock))
    elsewhere.module.layer.to("meta")
    unused, outside = Model(Network(clock)), Model(Network(clock), stage=None)
    unused.example = lambda: None
    assert timed(clock, training, elsewhere, unused, outside) == {}
    assert clock.at_s == 0


def test_compiled_code_joins_the_other_figures(clock):
    asked = []

    @contextlib.contextmanager
    def held():
        asked.append("held")
        yield
        asked.append("let go")

    def compiled(model):
        asked.append(model.name)
        return CompiledTimes(0.3, 0.1, 20.0) if model.name == "denoiser" else None

    models = [Model(Network(clock)), Model(Network(clock), "decoder", "shape_generation/decode")]
    times = timed(clock, *models, around=held(), compiled=compiled)
    assert asked == ["held", "let go", "denoiser", "decoder"]
    found = times[STAGE]
    assert (found.eager_s, found.compiled_s, found.compile_s) == (0.3, 0.1, 20.0)
    assert found.single_s == pytest.approx(0.014)
    other = times["shape_generation/decode"]
    assert (other.single_s, other.compile_s) == (pytest.approx(0.014), None)


def test_nothing_is_compiled_once_somebody_waits(clock):
    waits = []

    def compiled(model):
        waits.append(model.name)

    models = [Model(Network(clock)), Model(Network(clock), "decoder", "shape_generation/decode")]
    timed(clock, *models, stop=lambda: bool(waits), compiled=compiled)
    assert waits == ["denoiser"]
