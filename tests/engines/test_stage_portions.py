from __future__ import annotations

import pytest

from backend.engines.stage_portions import StagePortions
from backend.errors import JobCanceled
from backend.progress import StageProgress
from tests.engines.counting_sink import CountingSink


def portions(sink, before=0, total=16):
    return StagePortions(StageProgress(sink, "stage"), {"a": 4, "b": 10}, before, total)


def test_shares_of_portions_become_steps_of_the_stage():
    sink = CountingSink()
    counted = portions(sink, before=2)
    for portion, share in (("a", 0.0), ("a", 0.5), ("b", 0.1), ("b", 1.0)):
        counted.tell(portion, share)
    assert sink.seen == [(2, 16), (4, 16), (7, 16), (16, 16)]


def test_it_never_falls_though_there_is_more_to_do_than_was_known():
    sink = CountingSink()
    counted = portions(sink)
    for share in (0.8, 0.4, 0.9, 1.7):
        counted.tell("b", share)
    assert [step for step, _ in sink.seen] == [12, 12, 13, 14]


def test_who_wants_to_stop_is_heard():
    with pytest.raises(JobCanceled):
        portions(CountingSink(stop_after=0)).tell("a", 1.0)
