from __future__ import annotations

import pytest

from backend.models.checkpoints.atomic_file import written_whole


def test_a_file_is_there_as_a_whole_or_not_at_all(tmp_path):
    path = tmp_path / "f"
    path.write_text("old")

    def fail():
        with written_whole(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    with written_whole(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_is_removed_and_what_another_writes_is_not(tmp_path):
    path = tmp_path / "f"
    for name in (".f.abc.part", ".g.abc.part"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").write_text("left")
    with written_whole(path) as first:
        assert not (tmp_path / ".f.abc.part").exists()
        first.write_text("first")
        with written_whole(path) as second:
            assert first.read_text() == "first"
            second.write_text("second")
        assert path.read_text() == "second"
    assert path.read_text() == "first"  # it was done last
    assert sorted(each.name for each in tmp_path.iterdir()) == [".g.abc.part", "f"]


def test_a_writer_may_replace_the_file_that_it_was_given(tmp_path):
    """As the library of .safetensors does: what counts is what bears the name at the end."""
    path = tmp_path / "f"
    with written_whole(path) as temporary:
        temporary.write_text("first")
        (temporary.parent / "other").write_text("second")
        (temporary.parent / "other").replace(temporary)
        with written_whole(path) as another:
            assert temporary.read_text() == "second"
            another.write_text("third")
    assert path.read_text() == "second"
    assert list(tmp_path.iterdir()) == [path]
