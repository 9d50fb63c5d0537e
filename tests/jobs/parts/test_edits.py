from __future__ import annotations

import random
import time

import pytest

from backend.errors import InvalidParameter
from backend.jobs.parts.division import read_division
from backend.jobs.parts.edits import MAX_EDITS, Editing, EditLog
from tests.jobs.parts.made_tree import made_tree


@pytest.fixture
def engines():
    return read_division(made_tree(16, seed=1, suggested=5))


def after(engines, *edits, log=None):
    editing = Editing(engines, log or EditLog())
    for edit in edits:
        editing.change(edit)
    return editing


def test_undo_and_redo_walk_through_the_edits(engines):
    editing = after(engines, {"count": 8}, {"merge": [1, 2]}, {"rename": {"0": "hat"}})
    states = [engines, engines.with_count(8), engines.with_count(8).merged([1, 2])]
    states.append(states[2].renamed({0: "hat"}))
    assert editing.division == states[3]
    for state in reversed(states[:3]):
        editing.change({"undo": True})
        assert editing.division == state
    with pytest.raises(InvalidParameter, match="nothing to undo"):
        editing.change({"undo": True})
    editing.change({"redo": True})
    assert editing.division == states[1]
    editing.change({"split": 0})
    with pytest.raises(InvalidParameter, match="nothing to redo"):
        editing.change({"redo": True})
    assert editing.log == EditLog(({"count": 8}, {"split": 0}), 2)


def test_a_kept_log_leads_to_the_same_division(engines):
    editing = after(engines, {"split": 0}, {"count": 9}, {"merge": [0, 3, 4]}, {"undo": True})
    assert editing.log.replayed(engines) == editing.division
    again = after(engines, {"redo": True}, log=editing.log)
    assert again.division == after(engines, *again.log.edits).division


def test_several_edits_at_once_are_all_done_or_none(engines):
    editing = after(engines, {"edits": [{"count": 8}, {"undo": True}, {"merge": [0, 1]}]})
    assert editing.log.edits == ({"merge": [0, 1]},)
    before = editing.log
    with pytest.raises(InvalidParameter):
        after(engines, {"edits": [{"count": 8}, {"merge": [0, 99]}]}, log=before)
    assert before.edits == ({"merge": [0, 1]},)


@pytest.mark.parametrize("edit", [
    {}, {"count": 8, "split": 1}, {"paint": 3}, {"count": "8"}, {"count": True}, {"count": 2.0},
    {"merge": 3}, {"merge": [1]}, {"merge": [1, "2"]}, {"merge": []}, {"split": None},
    {"rename": {}}, {"rename": {"x": "a"}}, {"rename": {"-1": "a"}}, {"rename": {"0": 3}},
    {"rename": {"0": "a" * 81}}, {"rename": ["a"]}, {"undo": False}, {"redo": 1},
    {"part": []}, {"part": 3}, {"part": [1, 1]}, {"part": [16]}, {"part": ["1"]}, {"part": [True]},
    {"edits": []}, {"edits": {}}, {"edits": [{"edits": [{"count": 6}]}]}, {"edits": [3]},
    {"edits": [{"count": 6}] * 1001},
])  # fmt: skip
def test_what_is_no_edit_is_refused(engines, edit):
    with pytest.raises(InvalidParameter):
        after(engines, edit)


def test_patches_that_were_made_a_part_can_be_undone_and_redone(engines):
    edits = {"part": [0, 3, 7]}, {"split": 0}, {"part": [1, 2]}
    editing = after(engines, *edits)
    assert {1, 2} in map(set, editing.division.parts)
    assert after(engines, *edits, {"undo": True}, {"redo": True}).division == editing.division
    back = after(engines, {"undo": True}, {"undo": True}, {"undo": True}, log=editing.log)
    assert back.division == engines


def test_edits_are_limited_and_the_worst_log_is_replayed_quickly():
    engines = read_division(made_tree(200, seed=1, suggested=20))
    rng, editing = random.Random(0), Editing(engines, EditLog())
    for number in range(MAX_EDITS):
        now = editing.division
        largest = max(range(now.count), key=lambda index, now=now: len(now.parts[index]))
        pair = rng.sample(range(now.count), 2)
        edits = {"split": largest}, {"merge": pair}, {"part": rng.sample(range(200), 30)}
        editing.change(edits[number % 3])
    with pytest.raises(InvalidParameter, match="edited 500 times"):
        editing.change({"count": 30})
    editing.change({"undo": True})
    started_s = time.perf_counter()
    assert editing.log.replayed(engines) == editing.division
    assert time.perf_counter() - started_s < 3
