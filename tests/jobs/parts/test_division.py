from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.errors import InvalidParameter
from backend.jobs.parts.division import Division, Merge, color_numbers, read_division
from backend.meshes.parts.part_tree import PartTree
from tests.jobs.parts.made_tree import made_tree


def division(patch_count=24, seed=0, **options) -> Division:
    return read_division(made_tree(patch_count, seed, **options))


def sets(made: Division) -> set[frozenset[int]]:
    return {frozenset(patches) for patches in made.parts}


def takeable(made: Division, rng: random.Random) -> list[int]:
    """Patches at random that are no part already, or none."""
    patches = rng.sample(range(made.patch_count), rng.randint(1, made.patch_count))
    return [] if frozenset(patches) in sets(made) else patches


def edited(made: Division, rng: random.Random, edits: int) -> Division:
    """A division after some edits at random."""
    for _ in range(edits):
        kind = rng.randrange(4)
        if kind == 3:
            made = made.taken(patches) if (patches := takeable(made, rng)) else made
        elif kind == 0:
            made = made.with_count(rng.randint(made.fewest, made.patch_count))
        elif kind == 1 and made.count > 1:
            made = made.merged(rng.sample(range(made.count), rng.randint(2, min(3, made.count))))
        else:
            able = [i for i, patches in enumerate(made.parts) if len(patches) > 1]
            made = made.split(rng.choice(able)) if able else made
    return made


@pytest.mark.parametrize("seed", range(5))
def test_without_edits_the_parts_are_those_of_the_engine(seed):
    document = made_tree(30, seed, bodies=3)
    tree = PartTree(
        np.zeros(1, np.int32), 30, np.array(document["merges"], np.int32), np.zeros(27), 4
    )
    whole = read_division(document)
    assert (whole.fewest, whole.count) == (3, 4)
    for count in range(3, 31):
        assert whole.with_count(count).patch_parts == tree.patch_parts(count).tolist()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 12))
def test_an_edit_changes_the_parts_it_names_and_no_others(seed, edits):
    rng = random.Random(seed)
    made = edited(division(20, seed % 7, bodies=1 + seed % 3), rng, edits)
    before = sets(made)
    assert len(before) == made.count
    assert made.fewest <= made.count
    index = rng.randrange(made.count)
    part = frozenset(made.parts[index])
    if len(part) > 1:
        halves = sets(made.split(index)) - before
        assert before - sets(made.split(index)) == {part}
        assert len(halves) == 2
        assert frozenset().union(*halves) == part
    if made.count > 1:
        wanted = rng.sample(range(made.count), 2)
        both = frozenset(made.parts[wanted[0]] + made.parts[wanted[1]])
        assert sets(made.merged(wanted)) - before == {both}
        assert len(sets(made.merged(wanted))) == made.count - 1


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_a_count_gives_the_same_parts_whatever_came_in_between(seed):
    rng = random.Random(seed)
    made = edited(division(20, seed % 5), rng, 6)
    here = made.count
    for _ in range(5):
        made = made.with_count(rng.randint(made.fewest, made.patch_count))
        assert len(made.parts) == made.count
    assert sets(made.with_count(here)) == sets(
        edited(division(20, seed % 5), random.Random(seed), 6)
    )
    for count in range(made.fewest, made.patch_count):
        fine, coarse = sets(made.with_count(count + 1)), sets(made.with_count(count))
        assert len(coarse - fine) == 1, "one more part means one part that was split"


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_patches_that_are_taken_leave_the_rest_of_each_part_as_one(seed):
    rng = random.Random(seed)
    bodies = 1 + seed % 3
    made = edited(division(20, seed % 7, bodies=bodies), rng, 8)
    patches = takeable(made, rng)
    if not patches:
        return
    taken = made.taken(patches)
    rests = {part - set(patches) for part in sets(made)} - {frozenset()}
    assert sets(taken) == rests | {frozenset(patches)}
    assert taken.count == len(taken.parts)
    assert taken.fewest <= bodies
    for count in range(taken.fewest, 21):
        assert len(taken.with_count(count).parts) == count


def test_a_part_that_patches_are_taken_from_keeps_its_name():
    made = division(12, seed=1, suggested=3)
    index = max(range(3), key=lambda part: len(made.parts[part]))
    first, *rest = made.parts[index]
    named = made.renamed({index: "wheel"})
    taken = named.taken([first])
    assert taken.part_names == {taken.patch_parts[rest[0]]: "wheel"}
    assert named.taken([*made.parts[index], made.parts[index - 1][0]]).part_names != {}


@pytest.mark.parametrize("patches", [[], [12], [-1]])
def test_patches_that_are_not_there_are_not_taken(patches):
    with pytest.raises(InvalidParameter, match="numbers of patches, from 0 to 11"):
        division(12).taken(patches)


def test_patches_that_are_a_part_already_are_not_taken():
    made = division(12, suggested=4)
    with pytest.raises(InvalidParameter, match="a part already"):
        made.taken(made.parts[2])


def test_parts_joined_by_hand_come_apart_last():
    made = division(12, seed=3, suggested=5)
    joined = frozenset(made.parts[0] + made.parts[4])
    made = made.merged([0, 4])
    for count in range(made.count, 12 - len(joined) + 2):
        assert joined in sets(made.with_count(count))
    assert joined not in sets(made.with_count(12 - len(joined) + 2))


def test_taking_a_merge_by_hand_apart_gives_the_two_parts_back():
    made = division(12, seed=1, suggested=5, bodies=5)
    before = sets(made)
    joined = made.merged([1, 3])
    assert joined.fewest == 4
    again = joined.split(joined.patch_parts[made.parts[1][0]])
    assert sets(again) == before
    assert again.fewest == 5, "the merge by hand is gone"
    assert not any(merge.by_hand for merge in again.merges)


def test_halves_of_a_split_come_together_last():
    made = division(12, seed=2, suggested=4)
    index = next(i for i, patches in enumerate(made.parts) if len(patches) > 1)
    halves = sets(made.split(index)) - sets(made)
    made = made.split(index)
    for count in range(made.count, 1, -1):
        parts = made.with_count(count).parts
        firsts = {min(half) for half in halves}
        holding = {i for i, patches in enumerate(parts) if firsts & set(patches)}
        assert len(holding) == 2, f"still apart at {count}"
    assert len(made.with_count(1).parts) == 1


def test_the_larger_half_takes_the_place_of_the_whole():
    merges = (Merge(0, 1), Merge(0, 2), Merge(0, 3))
    document = {"patch_count": 4, "merges": [[0, 1], [4, 2], [5, 3]], "suggested": 2,
                "patches": {"faces": [1, 9, 1, 1]}}  # fmt: skip
    made = read_division(document)
    assert made.merges != merges
    assert sets(made) == {frozenset({0, 1, 2}), frozenset({3})}
    made = made.with_count(3).split(0)  # 0 from 1
    assert sets(made.with_count(3)) == {frozenset({0}), frozenset({1, 2}), frozenset({3})}


def test_names_stay_with_their_part():
    made = division(12, seed=4, suggested=4)
    made = made.renamed({1: "wheel", 2: "door"})
    patch = made.parts[1][0]
    assert made.part_names == {1: "wheel", 2: "door"}
    for count in range(4, 13):
        finer = made.with_count(count)
        assert finer.part_names[finer.patch_parts[patch]] == "wheel"
    joined = made.merged([1, 2])
    assert list(joined.part_names.values()) == ["door"], "the name that was given last"
    assert made.renamed({1: ""}).part_names == {2: "door"}
    assert made.renamed({1: "hub"}).part_names == {1: "hub", 2: "door"}


@pytest.mark.parametrize("change", [
    lambda made: made.with_count(0), lambda made: made.with_count(13),
    lambda made: made.merged([1]), lambda made: made.merged([1, 1]),
    lambda made: made.merged([0, 4]), lambda made: made.split(-1), lambda made: made.split(4),
    lambda made: made.with_count(12).split(3), lambda made: made.renamed({7: "x"}),
])  # fmt: skip
def test_what_cannot_be_done_is_refused(change):
    with pytest.raises(InvalidParameter):
        change(division(12, seed=4, suggested=4))


@pytest.mark.parametrize("seed", range(4))
def test_colours_stay_while_the_count_moves(seed):
    made = division(30, seed, bodies=2, suggested=6)
    numbers = color_numbers(made)
    assert sorted(numbers) == list(range(30))
    assert [numbers[patches[0]] for patches in made.parts] == [0, 1, 2, 3, 4, 5]
    for count in range(6, 31):
        used = {numbers[patches[0]] for patches in made.with_count(count).parts}
        assert used == set(range(count))


def test_parts_that_were_given_can_be_joined_and_taken_apart_but_not_split():
    given = read_division({"patch_count": 5, "merges": [], "suggested": 5})
    assert (given.count, given.fewest) == (5, 5)
    joined = given.merged([0, 3])
    assert (joined.count, joined.fewest) == (4, 4)
    assert joined.with_count(5).patch_parts == given.patch_parts
    with pytest.raises(InvalidParameter, match="single patch"):
        given.split(2)


def test_the_count_that_the_job_delivered_is_where_edits_begin():
    document = made_tree(12, seed=4, suggested=4)
    assert read_division(document | {"suggested": 7}).count == 7
    assert read_division(document | {"suggested": 99}).count == 12
