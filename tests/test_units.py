from __future__ import annotations

import doctest
from datetime import UTC, datetime, timedelta, timezone

from backend import units


def test_ids_sort_by_time_and_have_26_characters():
    start = datetime(2026, 11, 21, tzinfo=UTC)
    ids = [units.new_id(start + timedelta(milliseconds=i)) for i in range(50)]
    assert ids == sorted(ids)
    assert {len(i) for i in ids} == {26}


def test_ids_of_one_millisecond_differ():
    now = datetime(2026, 11, 21, tzinfo=UTC)
    assert len({units.new_id(now) for _ in range(1000)}) == 1000


def test_iso_converts_other_zones_and_reads_naive_as_utc():
    eastern = datetime(2026, 11, 21, 3, tzinfo=timezone(timedelta(hours=3)))
    assert units.iso(eastern) == "2026-11-21T00:00:00.000Z"
    naive = eastern.astimezone(UTC).replace(tzinfo=None)  # as SQLite hands it out
    assert units.iso(naive) == "2026-11-21T00:00:00.000Z"
    assert units.iso(None) is None


def test_documented_examples():
    assert doctest.testmod(units).failed == 0


def test_system_clock_is_aware_and_never_falls():
    clock = units.SystemClock()
    assert clock.now().tzinfo is UTC
    assert clock.monotonic_s() <= clock.monotonic_s()
