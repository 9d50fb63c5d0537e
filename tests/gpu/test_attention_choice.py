from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from backend.errors import DeviceLost
from backend.gpu import attention_choice
from backend.gpu.attention import AttentionBackend, attend_with
from backend.gpu.attention_choice import (
    MOST_CHOICES,
    ROUNDS,
    WARM_UPS,
    AttentionShape,
    ChoiceCache,
    choose_attention,
)
from backend.units import MB, SystemClock
from tests.residency.conftest import StandingClock

MATH, FLASH, EFFICIENT, CUDNN = (
    AttentionBackend.MATH,
    AttentionBackend.SDPA_FLASH,
    AttentionBackend.SDPA_EFFICIENT,
    AttentionBackend.SDPA_CUDNN,
)
SHAPE = AttentionShape(batch=1, heads=2, tokens=40, context_tokens=24, head_dim=16)


class Scripted:
    """Computes rightly, but takes the time it is told to, and can be wrong or fail."""

    def __init__(self, clock, takes_s, change=None):
        self._clock, self._takes_s = clock, takes_s
        self._change = change or {}
        self.calls = []

    def __call__(self, backend, q, k, v):
        self.calls.append(backend)
        took = self._takes_s[backend]
        self._clock.forward(took(len(self.calls)) if callable(took) else took)
        result = attend_with(MATH, q, k, v)
        return self._change[backend](result) if backend in self._change else result


def choose(takes_s, change=None, shape=SHAPE, dtype=torch.float32, cache=None):
    clock = StandingClock()
    attend = Scripted(clock, takes_s, change)
    choice = choose_attention(
        shape, dtype, "cpu", clock, attend=attend, backends=list(takes_s),
        cache=ChoiceCache() if cache is None else cache,
    )  # fmt: skip
    return choice, {trial.backend: trial for trial in choice.table}, attend


def test_the_fastest_of_those_that_are_right_is_chosen():
    choice, table, _ = choose({MATH: 0.003, FLASH: 0.001, EFFICIENT: 0.002})
    assert choice.backend is FLASH
    assert table[FLASH].median_s == pytest.approx(0.001)
    assert table[MATH].median_s == pytest.approx(0.003)
    assert [t.excluded for t in choice.table] == [None] * 3


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda r: r * 1.01, "off by"),
        (lambda r: torch.where(torch.arange(r.shape[2])[:, None] == 39, r + 1, r), "off by"),
        (lambda r: torch.where(torch.arange(r.shape[2])[:, None] == 7, r + 1, r), "off by"),
        (lambda r: torch.full_like(r, float("nan")), "not finite"),
        (lambda r: r.transpose(1, 2), "shape"),
    ],
    ids=["one percent off", "last row wrong", "a row wrong", "not a number", "layout"],
)
def test_a_wrong_backend_is_excluded_however_fast_it_is(change, reason):
    choice, table, attend = choose({MATH: 0.5, FLASH: 0.000001}, {FLASH: change})
    assert choice.backend is MATH
    assert reason in table[FLASH].excluded
    assert table[FLASH].median_s is None
    assert attend.calls.count(FLASH) == 1, "it is not timed"


def raising(error):
    def change(result):
        raise error

    return change


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RuntimeError("head dimension must be at most 256\nsecond line"), "head dimension must"),
        (torch.OutOfMemoryError("CUDA out of memory"), "memory ran out"),
        (TypeError("an unexpected keyword"), "an unexpected keyword"),
    ],
)
def test_a_backend_that_raises_is_excluded_with_the_reason(error, reason):
    choice, table, _ = choose({FLASH: 0.1, MATH: 0.5}, {FLASH: raising(error)})
    assert choice.backend is MATH
    assert reason in table[FLASH].excluded
    assert "second line" not in table[FLASH].excluded


def test_a_backend_that_breaks_while_it_is_timed_is_excluded_too():
    calls = iter(range(100))

    def late(result):
        if next(calls) == 3:
            raise RuntimeError("worked at first")
        return result

    choice, table, _ = choose({FLASH: 0.001, MATH: 0.002}, {FLASH: late})
    assert choice.backend is MATH
    assert table[FLASH].excluded == "worked at first"


def test_a_lost_context_ends_the_process():
    error = RuntimeError("CUDA error: an illegal memory access was encountered")
    with pytest.raises(DeviceLost):
        choose({FLASH: 0.1, MATH: 0.5}, {FLASH: raising(error)})


def test_plain_products_are_left_when_nothing_passed():
    choice, _, _ = choose({FLASH: 0.1}, {FLASH: raising(RuntimeError("no"))})
    assert choice.backend is MATH


def test_rounds_are_interleaved_and_slow_first_calls_do_not_count():
    first_are_slow = lambda calls: 0.2 if calls <= 2 + 2 * WARM_UPS else 0.001  # noqa: E731
    outlier = lambda calls: 0.9 if calls == 10 else 0.002  # noqa: E731
    choice, table, attend = choose({FLASH: first_are_slow, MATH: outlier})
    assert table[FLASH].median_s == pytest.approx(0.001)
    assert table[MATH].median_s == pytest.approx(0.002)
    assert choice.backend is FLASH
    timed = attend.calls[2:]
    assert timed == [FLASH, MATH] * (len(timed) // 2)


def test_a_quick_measurement_takes_all_rounds_and_a_slow_one_ends_early():
    _, _, attend = choose({FLASH: 0.001, MATH: 0.001})
    assert len(attend.calls) == 2 * (1 + WARM_UPS + ROUNDS)
    _, table, attend = choose({FLASH: 3.0, MATH: 4.0})
    assert len(attend.calls) == 2 * (1 + WARM_UPS + 1)
    assert table[FLASH].median_s == 3.0


def test_a_choice_is_made_once_for_a_bucket_a_dtype_and_a_kind_of_device():
    cache = ChoiceCache()
    first, _, _ = choose({FLASH: 1.0, MATH: 2.0}, cache=cache)
    near = AttentionShape(1, 2, 37, 24, 16)
    again, _, attend = choose({FLASH: 9.0, MATH: 2.0}, shape=near, cache=cache)
    assert (again, attend.calls) == (first, [])
    for shape, dtype in (
        (AttentionShape(1, 2, 80, 24, 16), torch.float32),
        (AttentionShape(1, 4, 40, 24, 16), torch.float32),
        (SHAPE, torch.bfloat16),
    ):
        other, _, attend = choose({FLASH: 9.0, MATH: 2.0}, None, shape, dtype, cache)
        assert other.backend is MATH
        assert attend.calls


def test_plain_products_are_not_tried_where_all_scores_would_take_too_much(monkeypatch):
    monkeypatch.setattr(attention_choice, "MOST_SCORES_MB", 2 * 40 * 24 * 4 / MB)
    choice, table, _ = choose({MATH: 0.001, FLASH: 0.002})
    assert (choice.backend, table[MATH].excluded) == (MATH, None)
    choice, table, attend = choose(
        {MATH: 0.001, FLASH: 0.002}, shape=replace(SHAPE, context_tokens=32)
    )
    assert choice.backend is FLASH
    assert table[MATH].excluded == "its scores would take 0 MB"
    assert MATH not in attend.calls


def test_clouds_of_about_as_many_patches_are_measured_once():
    cache = ChoiceCache()
    _, _, first = choose({MATH: 0.001}, shape=replace(SHAPE, batch=81), cache=cache)
    _, _, other = choose({MATH: 0.001}, shape=replace(SHAPE, batch=83), cache=cache)
    assert first.calls
    assert other.calls == []


def test_the_cache_does_not_grow_without_end():
    cache = ChoiceCache()
    for number in range(MOST_CHOICES + 5):
        cache.keep((number,), number)
    assert cache.get((0,)) is None
    assert cache.get((MOST_CHOICES + 4,)) == MOST_CHOICES + 4
    assert len(cache._choices) == MOST_CHOICES


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_what_runs_here_passes_and_what_does_not_says_why(dtype):
    choice = choose_attention(
        AttentionShape(2, 4, 300, 130, 32), dtype, "cpu", SystemClock(), cache=ChoiceCache()
    )
    table = {trial.backend: trial for trial in choice.table}
    assert set(table) == set(AttentionBackend)
    for backend in (MATH, FLASH):
        assert table[backend].excluded is None
        assert table[backend].median_s > 0
        assert table[backend].relative_error < 0.02
    assert "needs a CUDA device" in table[CUDNN].excluded
    fastest = min((MATH, FLASH), key=lambda backend: table[backend].median_s)
    assert choice.backend is fastest
