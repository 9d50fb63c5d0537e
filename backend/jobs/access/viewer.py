"""For whom this process works at the moment: the key of a request, or the server itself.

The job store asks here on every look-up, so that no route can forget to. Whoever has no viewer
sees everything: a server without keys, the workers, and threads in the background.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from sqlalchemy import ColumnElement, select, true

from backend.errors import AdminOnly
from backend.jobs.access.api_key import ApiKey
from backend.jobs.access.tables import JobOwnerRow

_viewer: ContextVar[ApiKey | None] = ContextVar("viewer", default=None)


def current_key() -> ApiKey | None:
    """Return the key of this request; None when no keys are in force."""
    return _viewer.get()


def current_key_id() -> str | None:
    """Return the identifier of this request's key; None when no keys are in force."""
    key = _viewer.get()
    return key.id if key else None


def is_restricted() -> bool:
    """Whether this request may see some jobs only."""
    key = _viewer.get()
    return key is not None and not key.is_admin


def check_admin() -> None:
    """Raise AdminOnly when this request may change its own jobs only."""
    if is_restricted():
        raise AdminOnly


def work_for(key: ApiKey | None) -> None:
    """Work for a key from here on; None is the server itself."""
    _viewer.set(key)


@contextmanager
def acting_as(key: ApiKey | None) -> Iterator[None]:
    """Work for a key within the block."""
    before = _viewer.set(key)
    try:
        yield
    finally:
        _viewer.reset(before)


def owned_by_viewer(column: Any) -> ColumnElement[bool]:
    """Restrict a query to rows of the viewer's.

    Parameters
    ----------
    column : column
        Holds the identifier of a key, or NULL.
    """
    return column == current_key_id() if is_restricted() else true()


def job_is_visible(column: Any) -> ColumnElement[bool]:
    """Restrict a query to jobs that the viewer may see; ``column`` holds identifiers of jobs."""
    if not is_restricted():
        return true()
    own = select(JobOwnerRow.job_id).where(JobOwnerRow.key_id == current_key_id())
    restricted: ColumnElement[bool] = column.in_(own)
    return restricted


def scoped(idempotency_key: str) -> str:
    """Return what is stored for a client's idempotency key: two API keys may use the same one."""
    key_id = current_key_id()
    if key_id is None:
        return idempotency_key
    return f"{key_id}:{hashlib.sha256(idempotency_key.encode()).hexdigest()}"
