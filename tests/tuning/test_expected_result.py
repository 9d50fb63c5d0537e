"""The same result, or the same but for rounding."""

from __future__ import annotations

import pytest

from backend.tuning.expected_result import ExpectedResult
from backend.tuning.run_figures import Gauge, RunFigures

START = {"attention": "auto", "export_compression": 6}
EXACT, ROUNDING = START | {"export_compression": 1}, START | {"attention": "math"}


def run(faces=1000, digest="aa", volume_m3=0.5, bodies="1"):
    return RunFigures(
        1.0,
        None,
        {"faces": str(faces), "bodies": bodies},
        {"model.glb": digest},
        {"faces": Gauge(faces, 10.0), "volume_m3": Gauge(volume_m3, 0.0025)},
    )


@pytest.fixture
def expected():
    return ExpectedResult.of(START, [run(), run(), run()])


def test_only_what_repeats_is_compared():
    expected = ExpectedResult.of(START, [run(), run(digest="bb", volume_m3=0.6)])
    assert expected.names == ["bodies", "faces"]
    assert set(expected.gauges) == {"faces"}
    assert expected.change(EXACT, run(digest="cc")) is None
    told = expected.change(EXACT, run(faces=1001))
    assert told == "The result changed: faces is 1000 before and 1001 with it."
    assert expected.change(EXACT, RunFigures(1.0)) is not None


def test_a_setting_that_only_changes_speed_must_leave_every_byte(expected):
    assert expected.change(EXACT, run()) is None
    assert "model.glb" in expected.change(EXACT, run(digest="bb"))
    assert "faces" in expected.change(EXACT, run(faces=1001))


def test_a_setting_that_rounds_may_change_last_digits_only(expected):
    rounded = run(faces=1009, digest="bb", volume_m3=0.502)
    assert expected.change(ROUNDING, rounded) is None
    assert expected.is_rounded(rounded)
    assert not expected.is_rounded(run())
    told = expected.change(ROUNDING, run(volume_m3=0.504))
    assert "volume_m3 is 0.5 before and 0.504 with it, more than rounding explains" in told
    assert "faces" in expected.change(ROUNDING, run(faces=989))
    assert "missing" in expected.change(ROUNDING, RunFigures(1.0, None, {"bodies": "1"}))


def test_no_rounding_explains_another_body(expected):
    assert "bodies" in expected.change(ROUNDING, run(bodies="2"))


def test_a_step_that_rounds_lets_later_ones_round(expected):
    """The search compares with the start, so all that differs from it counts."""
    both = ROUNDING | {"export_compression": 1}
    assert expected.change(both, run(digest="bb")) is None
    assert expected.change(START, run(digest="bb")) is not None
