from __future__ import annotations

import pytest

from backend.gpu.energy import EnergyMeter, watt_hours


@pytest.mark.parametrize(
    ("counter", "joules"),
    [((100.0, 460.0), 360.0), ((100.0, 50.0), None), ((None, 50.0), None), ((100.0, None), None)],
)
def test_energy_is_a_difference_or_unknown(counter, joules):
    values = iter(counter)
    meter = EnergyMeter(lambda: next(values))
    meter.start("job")
    assert meter.stop("job") == joules


def test_a_job_that_was_not_started_is_unknown():
    assert EnergyMeter(lambda: 1.0).stop("job") is None
    assert watt_hours(None) is None
