from __future__ import annotations

from backend.errors import ModelLeased
from backend.jobs.error_documents import error_document, error_of


def test_an_error_survives_the_way_through_another_process():
    again = error_of(error_document(ModelLeased("a is in use", advice="wait")))
    assert isinstance(again, ModelLeased)
    assert (again.detail, again.advice, again.http_status) == ("a is in use", "wait", 409)


def test_an_error_of_another_version_is_an_internal_one():
    assert error_of({"code": "from-the-future"}).code == "internal-error"
