"""Which database the tests use: SQLite, or PostgreSQL with MESHKILN_TEST_DATABASE=postgresql."""

from __future__ import annotations

import atexit
import functools
import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from backend.jobs.schema import for_writing, open_database, queue_writers
from backend.jobs.store import JobStore
from bench.scratch_postgres import ScratchPostgres, find_postgres, has_driver, scratch_postgres

ON_POSTGRES = os.environ.get("MESHKILN_TEST_DATABASE") == "postgresql"
HAS_POSTGRES = find_postgres() is not None and has_driver()


@functools.cache
def cluster() -> ScratchPostgres:
    """The one of this test run; it ends with it."""
    stack = ExitStack()
    made = stack.enter_context(scratch_postgres(durable=False))
    atexit.register(stack.close)
    return made


def database_url(folder: Path) -> str:
    """Address for a data folder: empty for SQLite inside it, else a schema of its own."""
    return postgres_url(folder) if ON_POSTGRES else ""


def postgres_url(folder: Path) -> str:
    """Address of the schema of a data folder."""
    return cluster().new_schema("t" + hashlib.sha256(str(folder).encode()).hexdigest()[:16])


@contextmanager
def another_writer(store: JobStore) -> Iterator[None]:
    """Hold the write lock as another program would."""
    other = open_database(store.engine.url.render_as_string(hide_password=False))
    with for_writing(other).begin() as connection:
        queue_writers(connection)
        yield
    other.dispose()
