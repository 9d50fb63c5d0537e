from __future__ import annotations

from backend import errors
from backend.errors import MeshkilnError


def _all(cls: type[MeshkilnError]) -> list[type[MeshkilnError]]:
    return [cls, *(deep for sub in cls.__subclasses__() for deep in _all(sub))]


def _ours() -> list[type[MeshkilnError]]:
    return [cls for cls in _all(MeshkilnError) if cls.__module__.startswith(errors.__name__)]


def test_every_concrete_error_has_its_own_code_status_title_and_advice():
    leaves = [cls for cls in _ours() if not cls.__subclasses__()]
    assert len({cls.code for cls in leaves}) == len(leaves)
    for cls in leaves:
        assert 400 <= cls.http_status < 600, cls
        assert cls.title, cls
        if cls is not errors.JobCanceled:
            assert cls.default_advice, cls


def test_the_drawn_tree_names_every_error_with_its_code():
    tree = errors.__doc__ or ""
    for cls in _ours():
        line = next((row for row in tree.splitlines() if f" {cls.__name__} " in f" {row} "), None)
        assert line is not None, cls
        if not cls.__subclasses__() and cls is not errors.JobCanceled:
            assert cls.code in line


def test_detail_falls_back_to_the_title_and_advice_to_the_class():
    error = errors.EmptyFile()
    assert error.detail == errors.EmptyFile.title
    assert error.advice == errors.EmptyFile.default_advice
    assert errors.EmptyFile("x", advice="y").advice == "y"
