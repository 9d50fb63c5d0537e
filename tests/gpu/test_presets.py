from __future__ import annotations

import pytest

from backend.errors import InvalidParameter
from backend.gpu.presets import preset_for
from backend.residency.policies import Policy
from backend.settings import RESIDENCY_POLICIES


@pytest.mark.parametrize(
    ("total_mb", "name"),
    [
        (8188, "8gb"),
        (6000, "8gb"),
        (24564, "24gb"),
        (23028, "24gb"),
        (15360, "16gb"),
        (143771, "80gb"),
    ],
)
def test_preset_by_memory(total_mb, name):
    assert preset_for(total_mb).name == name


def test_a_card_of_unknown_memory_counts_as_small():
    assert preset_for(None, card="GB10").name == "8gb"
    assert preset_for(None).name == "cpu"


def test_wrong_names_and_targets_are_refused():
    with pytest.raises(InvalidParameter, match="rtx4090"):
        preset_for(None, "rtx9090")
    with pytest.raises(InvalidParameter, match="hard cap"):
        preset_for(24564).aiming_at(0.95)
    assert preset_for(24564).aiming_at(0.5).target_utilization == 0.5


def test_policies_of_settings_are_those_of_the_manager():
    assert set(RESIDENCY_POLICIES) == {*Policy}
