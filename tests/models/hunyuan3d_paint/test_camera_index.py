from __future__ import annotations

import pytest

from backend.models.hunyuan3d_paint.camera_index import camera_index


def test_cameras_around_have_numbers_of_their_own():
    found = [camera_index(30 * step, e) for e in (-20, 0, 20) for step in range(12)]
    assert sorted(found) == list(range(36))


def test_the_six_views_have_the_known_numbers():
    views = ((0, 0), (90, 0), (180, 0), (270, 0), (0, 90), (180, -90))
    assert [camera_index(*view) for view in views] == [21, 12, 15, 18, 43, 37]


def test_other_elevations_are_refused():
    with pytest.raises(ValueError, match="45 degrees"):
        camera_index(0, 45)
