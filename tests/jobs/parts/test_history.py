from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest

from backend.jobs.parts.division import read_division
from backend.jobs.parts.edits import Editing, EditLog
from backend.jobs.parts.history import history_document, part_count
from backend.jobs.parts.versions import FIRST, KeptVersion
from tests.jobs.parts.made_tree import made_tree

ENGINES = read_division(made_tree(12, suggested=5))
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def version(number: int, *edits: dict, done: int | None = None) -> KeptVersion:
    return KeptVersion(number, EditLog(edits, len(edits) if done is None else done), NOON)


def told(*kept: KeptVersion) -> list[tuple[int, int, str]]:
    items = history_document(ENGINES, kept)["items"]
    return [(item["version"], item["count"], item["note"]) for item in items]


def test_each_version_says_what_it_changed_about_the_one_before_it():
    merge, split, name = {"merge": [0, 1]}, {"split": 0}, {"rename": {"0": "a"}}
    assert told(
        KeptVersion(FIRST, EditLog(), NOON),
        version(2, {"count": 7}, merge),
        version(3, {"count": 7}, merge, split, split, name),
        version(4, {"count": 7}, merge, split, split, name, done=1),
        version(5, {"count": 7}, merge, merge),
        version(6, {"count": 7}, merge, merge),
    ) == [
        (6, 5, "no change"),
        (5, 5, "2 merges"),
        (4, 7, "4 undone"),
        (3, 8, "2 splits, rename"),
        (2, 6, "number of parts, merge"),
        (1, 5, "as the job made it"),
    ]


def test_a_version_whose_forerunner_is_gone_counts_its_edits():
    kept = (KeptVersion(FIRST, EditLog(), None), version(9, {"split": 0}, {"split": 1}))
    assert told(*kept)[0] == (9, 7, "2 edits in all")
    first = history_document(ENGINES, kept)["items"][-1]
    assert first["created_at"] is None, "unknown, not now"
    assert history_document(ENGINES, kept)["items"][0]["created_at"] == "2026-11-21T12:00:00.000Z"


def test_patches_that_were_made_a_part_count_by_the_parts_they_were_taken_from():
    whole = ENGINES.parts[0] + ENGINES.parts[1]  # two parts become one
    alone = [ENGINES.parts[2][0]]
    taken = ENGINES.taken(whole)
    assert taken.taken(alone).count == 4 + (len(ENGINES.parts[2]) > 1)
    assert told(
        KeptVersion(FIRST, EditLog(), NOON),
        version(2, {"part": whole}),
        version(3, {"part": whole}, {"part": alone}, {"count": 6}),
        version(4, {"part": whole}, {"part": alone}, {"count": 6}, done=1),
        version(5, {"count": 7}),
    ) == [
        (5, 7, "1 undone, number of parts"),
        (4, 4, "2 undone"),
        (3, 6, "part of patches, number of parts"),
        (2, 4, "part of patches"),
        (1, 5, "as the job made it"),
    ]


@pytest.mark.parametrize("seed", range(5))
def test_parts_are_counted_as_dividing_counts_them(seed):
    rng, engines = random.Random(seed), read_division(made_tree(30, seed=seed, suggested=9))
    editing = Editing(engines, EditLog())
    for _ in range(40):
        division = editing.division
        able = [index for index, patches in enumerate(division.parts) if len(patches) > 1]
        edits = [{"count": rng.randint(division.fewest, 30)}, {"rename": {"0": "x"}}]
        if able:
            edits.append({"split": rng.choice(able)})
        if division.count > 3:
            edits.append({"merge": rng.sample(range(division.count), 3)})
        if editing.log.can_undo:
            edits.append({"undo": True})
        editing.change(rng.choice(edits))
        assert part_count(editing.log, engines.count) == editing.division.count
