from __future__ import annotations

import pytest

from backend.child_answer import facts_or_problem
from backend.errors import FieldProblem, InvalidParameter, MeshTooLarge, StorageFull


def _answer(error=None):
    def read():
        if error is not None:
            raise error
        return {"faces": 12}

    return facts_or_problem(read, "the mesh", MeshTooLarge)


def test_facts_are_given_as_they_are():
    assert _answer() == {"facts": {"faces": 12}}


def test_a_problem_names_its_fields_and_steers_no_terminal():
    error = InvalidParameter("part \x1b[31m", fields=(FieldProblem("/parts/2", "is unknown"),))
    problem = _answer(error)["problem"]
    assert problem["code"] == InvalidParameter.code
    assert problem["detail"] == "part \N{REPLACEMENT CHARACTER}[31m"
    assert problem["advice"] == error.advice
    assert problem["fields"] == ["/parts/2"]


@pytest.mark.parametrize(
    ("error", "kind", "word"),
    [
        (OSError(28, "No space left on device"), StorageFull, "The mesh could not be stored: No"),
        (MemoryError(), MeshTooLarge, "more memory than is allowed"),
    ],
)
def test_what_the_system_refuses_is_told_as_a_problem(error, kind, word):
    problem = _answer(error)["problem"]
    assert problem["code"] == kind.code
    assert word in problem["detail"]
