from __future__ import annotations

import math
from collections import OrderedDict
from enum import IntEnum, StrEnum
from pathlib import Path

import numpy as np
import pytest
import torch

from backend.residency.guest import values
from backend.residency.guest.values import BadValue, CannotPass, Raw, pack, unpack


def through(value, **more):
    tree, buffers = pack(value)
    return unpack(tree, [bytearray(buffer) for buffer in buffers], **more)


@pytest.mark.parametrize(
    "value",
    [
        None, True, 0, -(10**30), 2.5, math.inf, "", "é\udc80", "x" * 70_000, b"", b"\0\xff",
        [], [1, [2.0, None]], (), (1, ("a",)), {}, {1: "a", None: (b"b",), (1, 2): {"text": 0}},
        Path("/a/b"), {"dict": [["a", 1]], "tensor": [0, "float32", [1], "cpu"]},
    ],
    ids=repr,
)  # fmt: skip
def test_data_arrives_as_it_was(value):
    got = through(value)
    assert got == value
    assert type(got) is type(value)


def test_a_view_with_gaps_is_sent_as_what_it_shows():
    tree, buffers = pack(memoryview(b"a-b-c-")[::2])
    assert unpack(tree, [b"".join(buffers)]) == b"abc"


def test_nan_and_subclasses_arrive_as_the_plain_values_they_are():
    class Kind(StrEnum):
        CLONE = "clone"

    class Level(IntEnum):
        HIGH = 3

    assert math.isnan(through(math.nan))
    assert through(Kind.CLONE) == "clone"
    assert type(through(Kind.CLONE)) is str
    assert type(through(Level.HIGH)) is int
    assert type(through(OrderedDict(a=1))) is dict


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.float16).reshape(2, 3), np.zeros((2, 0)), np.array(5, np.uint8),
        np.arange(10)[::2], np.array([True, False]), np.array([1 + 2j]), np.array(["ab", "c"]),
        np.array(["2026-01-01"], "M8[s]"), np.asfortranarray(np.ones((2, 3))),
    ],
    ids=lambda a: f"{a.dtype}{a.shape}",
)  # fmt: skip
def test_arrays_keep_dtype_shape_and_every_bit(array):
    got = through(array)
    assert got.dtype == array.dtype
    assert got.shape == array.shape
    assert np.array_equal(got, array)
    assert got.flags.writeable


@pytest.mark.parametrize(
    "dtype",
    [torch.float32, torch.bfloat16, torch.float16, torch.int64, torch.bool, torch.complex64],
    ids=str,
)
def test_tensors_keep_dtype_shape_and_every_bit(dtype):
    tensor = torch.arange(6).reshape(2, 3).to(dtype)
    for given in (tensor, tensor.t(), tensor[0, 0], torch.zeros(0, 3, dtype=dtype)):
        got = through([given])[0]
        assert got.dtype == dtype
        assert torch.equal(got, given)
    assert not through(torch.nn.Parameter(torch.ones(2))).requires_grad


def test_scalars_of_numpy_keep_their_type():
    assert through(np.float32(1.5)) == 1.5
    assert type(through(np.float32(1.5))) is np.float32


def test_large_parts_are_sent_from_where_they_lie():
    tensor, array = torch.zeros(1000), np.zeros(1000)
    buffers = pack([tensor, array]).buffers
    tensor[0], array[0] = 1.0, 1.0
    assert bytes(buffers[0][:4]) == np.float32(1).tobytes()
    assert bytes(buffers[1][:8]) == np.float64(1).tobytes()


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"a": [1, object()]}, "value['a'][1] is a builtins.object"),
        ([{1, 2}], "value[0] is a builtins.set"),
        ({frozenset(): 1}, "a key of value"),
        ([np.array([object()])], "value[0] is an array of object"),
        ([torch.eye(2).to_sparse()], "value[0] is a sparse"),
        ([lambda: 1], "value[0] is a"),
    ],
)
def test_what_is_no_data_is_named_by_its_place(value, place):
    with pytest.raises(CannotPass) as caught:
        pack(value)
    assert place in str(caught.value)


def test_a_value_that_contains_itself_is_refused():
    endless = []
    endless.append(endless)
    with pytest.raises(CannotPass, match="nested"):
        pack(endless)


@pytest.mark.parametrize(
    "tree",
    [
        {"unknown": 1}, {"a": 1, "b": 2}, {}, {"bytes": 5}, {"bytes": "x"},
        {"array": [0, "O", [1], "cpu"]}, {"array": [0, "<f4", [3], "cpu"]},
        {"array": [0, "<f4", [-1], "cpu"]}, {"tensor": [0, "float32", [99], "cpu"]},
        {"tensor": [0, "__import__('os')", [1], "cpu"]}, {"tensor": [0]}, {"dict": [1]},
        {"tensor": [0, "quint8", [0], "cpu"]}, {"tensor": [0, "float32", [0, 2**62, 2**62], "cpu"]},
        {"dict": [[[], 1]]}, {"scalar": ["<f4", "zz"]}, {"path": 3},
    ],
    ids=repr,
)  # fmt: skip
def test_a_tree_that_nobody_would_write_is_refused(tree):
    with pytest.raises(BadValue):
        unpack(tree, [bytearray(8)])


def test_without_the_libraries_buffers_come_with_their_description(monkeypatch):
    tree, buffers = pack([torch.ones(2, dtype=torch.bfloat16), np.ones(3, "<f4"), np.int16(7)])
    monkeypatch.setattr(values, "_library", lambda _: None)
    tensor, array, scalar = unpack(tree, buffers)
    assert tensor[:3] == ("tensor", "bfloat16", (2,))
    assert array == Raw("array", "<f4", (3,), np.ones(3, "<f4").tobytes())
    assert scalar.data == np.int16(7).tobytes()
    monkeypatch.undo()
    assert torch.equal(through(tensor), torch.ones(2, dtype=torch.bfloat16)), "and go back so"
