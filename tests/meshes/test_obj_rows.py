from __future__ import annotations

import numpy as np

from backend.meshes import obj_rows as module
from backend.meshes.obj_rows import obj_corners, obj_rows


def test_rows_are_written_as_python_writes_their_numbers():
    values = np.array([[0.1, -2.5], [1e-9, 123456.789]], np.float32)
    expected = "".join(f"vt {u:.7g} {v:.7g}\n" for u, v in values.tolist())
    assert obj_rows("vt %.7g %.7g", values) == expected


def test_more_rows_than_are_written_at_once_are_all_written_in_order(monkeypatch):
    monkeypatch.setattr(module, "ROWS_AT_ONCE", 3)
    values = np.arange(8)[:, None]
    assert obj_rows("%d", values).split() == [str(number) for number in range(8)]


def test_no_rows_are_no_lines():
    assert obj_rows("v %.7g %.7g %.7g", np.zeros((0, 3))) == ""


def test_corners_are_counted_from_one_and_name_their_lists_in_order():
    faces = np.array([[0, 1, 2], [2, 1, 3]], np.int32)
    assert obj_corners(faces) == "f 1 2 3\nf 3 2 4\n"
    assert obj_corners(faces, faces + 10).splitlines()[1] == "f 3/13 2/12 4/14"
