from __future__ import annotations

import pytest

from backend.jobs.history import StageStatistics
from backend.jobs.slowest_stages import slowest_stages


def detail_of(pipeline):
    stage = StageStatistics(pipeline, "mesh_export", 9, 1.0, 1.0, 2.0, 70.0)
    (found,) = slowest_stages([stage])
    return found["detail"]


@pytest.mark.parametrize(
    ("pipeline", "has_presets"),
    [("image_to_3d", True), ("image_to_parts", True), ("segment_parts", False),
     ("complete_parts", False)],
)  # fmt: skip
def test_a_preset_is_only_advised_where_there_is_one(pipeline, has_presets):
    assert ("draft preset" in detail_of(pipeline)) is has_presets
