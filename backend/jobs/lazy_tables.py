"""Tables that the first write creates, so that whoever only reads takes no lock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import Connection, Engine, MetaData, inspect
from sqlalchemy.exc import DBAPIError

from backend.jobs.schema import BUSY_TIMEOUT_MS, for_writing, queue_writers

Answer = TypeVar("Answer")


class LazyTables:
    """Some tables of the job database, each access one transaction.

    Parameters
    ----------
    engine : Engine
        The job database.
    metadata : MetaData
        The tables.
    """

    def __init__(self, engine: Engine, metadata: MetaData) -> None:
        self._engine = engine
        self._writer = for_writing(engine)
        self._metadata = metadata
        self._are_there = False

    def read(self, ask: Callable[[Connection], Answer], without: Answer) -> Answer:
        """Ask in a transaction that only reads; waits for nobody.

        Parameters
        ----------
        ask : callable
            Takes the connection.
        without : object
            The answer as long as there are no tables.
        """
        if not self._exist():
            return without
        try:
            with self._engine.connect() as connection:
                return ask(connection)
        except DBAPIError:
            if self._exist(again=True):
                raise
            return without

    def write(
        self, change: Callable[[Connection], Answer], patience_ms: int = BUSY_TIMEOUT_MS
    ) -> Answer:
        """Change in a transaction that holds the write lock; raises what ``change`` raises.

        Parameters
        ----------
        change : callable
            Takes the connection; called once more if the tables have vanished.
        patience_ms : int
            How long to wait for the lock.

        Raises
        ------
        OperationalError
            Somebody else held the lock for longer.
        """
        was_there = self._are_there
        try:
            return self._written(change, patience_ms)
        except DBAPIError:
            if not was_there or self._exist(again=True):
                raise
        return self._written(change, patience_ms)

    def create_in(self, connection: Connection) -> None:
        """Create what is missing, within somebody's own transaction."""
        if not self._are_there:
            self._metadata.create_all(connection)

    def _written(self, change: Callable[[Connection], Answer], patience_ms: int) -> Answer:
        with _transaction(self._writer, patience_ms) as connection:
            self.create_in(connection)
            answer = change(connection)
        self._are_there = True
        return answer

    def _exist(self, *, again: bool = False) -> bool:
        if again or not self._are_there:
            found = inspect(self._engine)
            self._are_there = all(found.has_table(name) for name in self._metadata.tables)
        return self._are_there


@contextmanager
def _transaction(writer: Engine, patience_ms: int) -> Iterator[Connection]:
    with writer.connect() as connection, _patience(connection, patience_ms), connection.begin():
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {patience_ms}")
            queue_writers(connection)
        yield connection


@contextmanager
def _patience(connection: Connection, patience_ms: int) -> Iterator[None]:
    """Set how long SQLite waits for a lock, and put the usual time back before others use it."""
    if connection.dialect.name != "sqlite" or patience_ms == BUSY_TIMEOUT_MS:
        yield
        return
    raw = connection.connection  # not through SQLAlchemy, which would begin a transaction first
    raw.cursor().execute(f"PRAGMA busy_timeout = {patience_ms}")
    try:
        yield
    finally:
        raw.cursor().execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
