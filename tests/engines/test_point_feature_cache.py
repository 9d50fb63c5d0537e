from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from backend.engines.point_feature_cache import PointFeatureCache, geometry_digest
from tests.meshes.source_shapes import textured_box


@dataclass(frozen=True)
class Block:
    size_bytes: int


def test_what_was_not_asked_for_longest_is_forgotten_first():
    cache = PointFeatureCache()
    for name in "abc":
        cache.put(name, Block(30), 100)
    assert cache.get("a") == Block(30)
    cache.put("d", Block(30), 100)
    assert cache.get("b") is None
    assert [cache.get(name) is None for name in "acd"] == [False] * 3


def test_several_go_for_one_that_is_large():
    cache = PointFeatureCache()
    for name in "abc":
        cache.put(name, Block(30), 100)
    cache.put("d", Block(90), 100)
    assert len(cache) == 1
    assert cache.get("d") == Block(90)


def test_what_is_too_large_alone_is_not_kept_and_drives_nothing_out():
    cache = PointFeatureCache()
    cache.put("a", Block(30), 100)
    cache.put("b", Block(101), 100)
    assert cache.get("b") is None
    assert cache.get("a") == Block(30)


def test_a_key_holds_the_latest_and_counts_once():
    cache = PointFeatureCache()
    for size in (60, 70, 80):
        cache.put("a", Block(size), 100)
    cache.put("b", Block(20), 100)
    assert (cache.get("a"), cache.get("b")) == (Block(80), Block(20))
    cache.clear()
    assert len(cache) == 0


def test_a_cache_without_room_keeps_nothing():
    cache = PointFeatureCache()
    cache.put("a", Block(1), 0)
    assert cache.get("a") is None


def test_geometry_is_named_without_its_looks():
    box = textured_box()
    bare = replace(box, uvs=None, materials=box.materials[:1])
    assert geometry_digest(box) == geometry_digest(bare)
    moved = replace(box, vertices=box.vertices + np.float32(1e-3))
    turned = replace(box, faces=np.ascontiguousarray(box.faces[::-1]))
    assert len({geometry_digest(mesh) for mesh in (box, moved, turned)}) == 3


def test_a_limit_that_was_lowered_is_kept_to():
    cache = PointFeatureCache()
    for name in "abc":
        cache.put(name, Block(30), 100)
    cache.put("d", Block(10), 50)
    assert [cache.get(name) is not None for name in "abcd"] == [False, False, True, True]
