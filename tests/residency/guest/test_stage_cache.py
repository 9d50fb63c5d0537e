from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from backend.residency.guest.cached_methods import wrap
from backend.residency.guest.stage_cache import StageCache, key_of
from backend.residency.guest.values import CannotPass


@pytest.fixture
def cache(tmp_path):
    return StageCache(tmp_path / "cache", 1_000_000)


class Work:
    def __init__(self, result="result"):
        self.runs = 0
        self.result = result

    def __call__(self):
        self.runs += 1
        return self.result


def ask(cache, work, *args, engine="e", version="1", method="m", **kwargs):
    return cache.get_or_compute(engine, version, method, args, kwargs, work)


def test_the_same_input_is_computed_once_and_the_result_is_bit_equal(cache):
    work = Work((torch.randn(3, dtype=torch.bfloat16), {"rate": 24_000}, np.arange(5)))
    first, again = ask(cache, work, 1, text="a"), ask(cache, work, 1, text="a")
    assert work.runs == 1
    assert torch.equal(first[0], again[0])
    assert np.array_equal(first[2], again[2])
    assert again[1] == {"rate": 24_000}
    counts = cache.statistics()
    assert (counts["hits"], counts["misses"], counts["entries"]) == (1, 1, 1)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((1,), (1.0,)), ((1,), (True,)), (("1",), (1,)), (([1],), ((1,),)), ((b"a",), ("a",)),
        (("ab", "c"), ("a", "bc")), (([1], [2]), ([1, 2], [])), ((None,), ("None",)),
        ((np.zeros(2, "f4"),), (np.zeros(2, "i4"),)), ((np.zeros((1, 2)),), (np.zeros((2, 1)),)),
        ((torch.zeros(2),), (np.zeros(2, "f4"),)), (({"a": 1},), ({"a": 2},)),
    ],
    ids=str,
)  # fmt: skip
def test_different_arguments_never_share_a_key(a, b):
    assert key_of("e", "1", "m", a, {}) != key_of("e", "1", "m", b, {})


def test_engine_version_and_method_are_part_of_the_key_and_order_of_keywords_is_not():
    keys = {key_of(*names, (1,), {}) for names in ("e1m", "f1m", "e2m", "e1n")}
    assert len(keys) == 4
    assert key_of("e", "1", "m", (), {"a": 1, "b": 2}) == key_of(
        "e", "1", "m", (), {"b": 2, "a": 1}
    )


def test_files_count_by_their_content(cache, tmp_path):
    one, two, other = (tmp_path / name for name in ("one.wav", "two.wav", "other.wav"))
    for path, content in ((one, b"sound"), (two, b"sound"), (other, b"noise")):
        path.write_bytes(content)
    work = Work()
    ask(cache, work, one)
    ask(cache, work, str(two))
    assert work.runs == 1, "the same recording under another name"
    ask(cache, work, other)
    one.write_bytes(b"other sound")
    ask(cache, work, one)
    assert work.runs == 3
    ask(cache, work, "sound")
    assert work.runs == 4, "a text is no file"


def test_room_is_bounded_and_what_was_used_longest_ago_goes(tmp_path):
    cache = StageCache(tmp_path, 4_000)
    for number in range(3):
        ask(cache, Work(bytes(1000)), number)
        key = key_of("e", "1", "m", (number,), {})
        os.utime(cache._path(key), (number, number))
    ask(cache, Work(), 0)  # used now, so 1 is the oldest
    ask(cache, Work(bytes(1000)), 3)
    runs = {number: Work() for number in (0, 1, 2)}
    for number in (0, 2):
        ask(cache, runs[number], number)
    assert [runs[0].runs, runs[2].runs] == [0, 0]
    ask(cache, runs[1], 1)
    assert runs[1].runs == 1
    assert cache.statistics()["bytes"] <= 4_000
    ask(cache, Work(bytes(9000)), "large")
    assert cache.statistics()["bytes"] <= 4_000, "what is larger than the room is not kept"


@pytest.mark.parametrize(
    "damage", [lambda d: d[:-40], lambda d: d[:-33] + b"!" + d[-32:], lambda _: b""]
)
def test_a_damaged_entry_is_removed_and_computed_anew(cache, damage):
    work = Work(bytes(200))
    ask(cache, work)
    path = next(cache.folder.glob("v*/*/*.entry"))
    path.write_bytes(damage(path.read_bytes()))
    assert ask(cache, work) == bytes(200)
    assert work.runs == 2
    assert cache.statistics()["damaged"] == 1
    ask(cache, work)
    assert work.runs == 2


def test_an_entry_under_another_key_is_not_believed(cache):
    ask(cache, Work("one"), 1)
    ask(cache, Work("two"), 2)
    one, two = (cache._path(key_of("e", "1", "m", (n,), {})) for n in (1, 2))
    two.replace(one)
    assert ask(cache, Work("one"), 1) == "one"


def test_what_cannot_be_written_down_is_computed_each_time_and_counted(cache):
    work = Work(object())
    assert ask(cache, work) is work.result
    ask(cache, work)
    argument = Work()
    ask(cache, argument, object())
    ask(cache, argument, object())
    assert (work.runs, argument.runs) == (2, 2)
    assert cache.statistics()["uncacheable"] == 4
    with pytest.raises(CannotPass):
        key_of("e", "1", "m", (object(),), {})


def test_saved_seconds_are_those_of_the_first_computation(cache):
    cache.store(key_of("e", "1", "m", (), {}), "x", 2.5)
    for _ in range(2):
        assert ask(cache, Work()) == "x"
    assert StageCache(cache.folder, 10).statistics()["saved_s"] == 5.0, (
        "and they outlive the process"
    )


def test_a_failed_computation_keeps_nothing_and_no_room_means_no_cache(cache, tmp_path):
    with pytest.raises(ZeroDivisionError):
        ask(cache, lambda: 1 / 0)
    assert cache.statistics()["entries"] == 0
    off, work = StageCache(tmp_path / "off", 0), Work()
    ask(off, work)
    ask(off, work)
    assert work.runs == 2
    assert not (tmp_path / "off").exists()
    ask(cache, work, 5)
    cache.clear()
    assert cache.statistics()["entries"] == 0


FILL = """
import sys
from backend.residency.guest.stage_cache import StageCache
cache = StageCache(sys.argv[1], 20_000)
for number in range(int(sys.argv[2]), int(sys.argv[2]) + 30):
    cache.get_or_compute("e", "1", "m", (number % 20,), {}, lambda: bytes(1500))
"""


def test_several_processes_share_a_folder(tmp_path):
    workers = [
        subprocess.Popen([sys.executable, "-c", FILL, str(tmp_path), str(start)])
        for start in (0, 7, 14)
    ]
    assert [worker.wait() for worker in workers] == [0, 0, 0]
    counts = StageCache(tmp_path, 20_000).statistics()
    assert counts["hits"] + counts["misses"] == 90, "no count is lost"
    assert counts["damaged"] == 0
    assert counts["bytes"] <= 20_000
    assert not [p for p in tmp_path.glob("v*/*/*") if p.suffix != ".entry"]


class Tokenizer:
    def __init__(self):
        self.runs = 0

    def encode(self, text):
        self.runs += 1
        return text.upper()


class Frozen:
    __slots__ = ()

    def encode(self):
        return 1


class Engine:
    def __init__(self):
        self.tokenizer = Tokenizer()
        self.frozen = Frozen()


def test_inner_methods_are_wrapped_and_paths_that_lead_nowhere_are_named(cache):
    engine = Engine()
    paths = ["tokenizer.encode", "tokenizer.runs", "tokenizer.gone", "no.where", "frozen.encode"]
    assert wrap(engine, paths, cache, "e", "1") == paths[1:]
    assert [engine.tokenizer.encode("a"), engine.tokenizer.encode("a")] == ["A", "A"]
    assert engine.tokenizer.runs == 1
