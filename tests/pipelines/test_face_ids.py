from __future__ import annotations

import io

import numpy as np
import pytest

from backend.errors import InvalidParameter
from backend.pipelines.face_ids import read_face_ids
from backend.progress import StageProgress
from tests.pipelines.test_image_to_3d import NotingSink


def read(path, faces, sink=None):
    return read_face_ids(path, faces, StageProgress(sink or NotingSink(), "part_segmentation"))


def saved(path, values):
    np.save(path, values)
    return path


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int32, np.int64, np.uint64, ">i4"])
def test_whole_numbers_of_any_size_are_read(tmp_path, kind):
    path = saved(tmp_path / "ids.npy", np.array([4, 4, 9, 0], dtype=kind))
    parts = read(path, 4)
    assert parts.tolist() == [1, 1, 2, 0], "numbered without gaps, in their order"
    assert parts.dtype == np.int32


def test_faces_of_no_part_become_the_last_one(tmp_path):
    sink = NotingSink()
    path = saved(tmp_path / "ids.npy", np.array([-1, 0, 1, -2]))
    assert read(path, 4, sink).tolist() == [2, 0, 1, 2]
    assert "2 faces belonged to no part" in sink.warnings[0]


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (np.zeros(5, dtype=np.int32), "shape (5,)"),
        (np.zeros((4, 1), dtype=np.int32), "shape (4, 1)"),
        (np.zeros(4), "type '<f8'"),
        (np.array([0, 1, 2, 1 << 40]), "1099511627776, which does not fit"),
        (np.array([0, 1, 2, (1 << 64) - 1], dtype=np.uint64), "does not fit"),
        (np.array([True] * 4), "type '|b1'"),
        (np.array([{}] * 4, dtype=object), "type '|O'"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(tmp_path, values, why):
    np.save(tmp_path / "ids.npy", values, allow_pickle=True)
    with pytest.raises(InvalidParameter) as caught:
        read(tmp_path / "ids.npy", 4)
    assert why in caught.value.detail
    assert caught.value.fields[0].pointer == "/face_ids"
    assert "int32" in caught.value.advice


def test_too_many_parts_are_refused(tmp_path):
    path = saved(tmp_path / "ids.npy", np.arange(1001))
    with pytest.raises(InvalidParameter, match="1,001 different part numbers"):
        read(path, 1001)


def damaged():
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(4, dtype=np.int32))
    whole = buffer.getvalue()
    huge = whole.replace(b"(4,), }", b"(9999999999999,), }")
    return {
        "cut": whole[:-4],
        "longer": whole + bytes(4),
        "empty": b"",
        "text": b"0 0 1 1",
        "only the header": whole[:40],
        "version 9": whole[:6] + b"\x09" + whole[7:],
        "code as header": whole.replace(b"'<i4'", b"exit("),
        "huge": huge,
    }


@pytest.mark.parametrize("case", sorted(damaged()))
def test_damaged_files_are_refused(tmp_path, case):
    (tmp_path / "ids.npy").write_bytes(damaged()[case])
    with pytest.raises(InvalidParameter):
        read(tmp_path / "ids.npy", 4)
