"""Browsers that have logged in: a random token in a cookie, its hash here.

The token is 256 random bits that mean nothing by themselves. A signature would add nothing: what
counts is the row, and whoever removes the row ends the login.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Engine, delete, select
from sqlalchemy.orm import Session

from backend.jobs.access.api_key import ApiKey
from backend.jobs.access.key_book import to_key
from backend.jobs.access.secret_tokens import digest, new_token
from backend.jobs.access.tables import ApiKeyRow, LoginRow
from backend.jobs.schema import for_writing
from backend.units import Clock

LASTS = timedelta(days=14)


class Logins:
    """The logins of this server.

    Parameters
    ----------
    engine : Engine
        The job database.
    clock : Clock
        Source of time.
    """

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._writer = for_writing(engine)
        self._clock = clock

    def begin(self, key: ApiKey) -> str:
        """Log a browser in; returns the token of its cookie."""
        token, now = new_token(), self._clock.now()
        row = LoginRow(sha256=digest(token), key_id=key.id, created_at=now, expires_at=now + LASTS)
        with Session(self._writer) as session, session.begin():
            session.add(row)
        return token

    def find(self, token: str) -> ApiKey | None:
        """Return the live key that a browser logged in with; None if there is none any more."""
        now = self._clock.now()
        query = (
            select(ApiKeyRow)
            .join(LoginRow, LoginRow.key_id == ApiKeyRow.id)
            .where(LoginRow.sha256 == digest(token), LoginRow.expires_at > now)
        )
        with Session(self._engine) as session, session.begin():
            row = session.scalars(query).first()
            key = to_key(row) if row else None
        return key if key and key.is_live(now) else None

    def end(self, token: str) -> None:
        """Log a browser out."""
        with self._writer.begin() as connection:
            connection.execute(delete(LoginRow).where(LoginRow.sha256 == digest(token)))
