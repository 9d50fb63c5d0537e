"""The keys: made, found, listed, revoked."""

from __future__ import annotations

import hmac
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, or_, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from backend.errors import InvalidParameter, NotFound
from backend.jobs.access.api_key import ApiKey, KeyLimits
from backend.jobs.access.secret_tokens import SHOWN, digest, is_key, new_key
from backend.jobs.access.tables import ApiKeyRow
from backend.jobs.schema import for_writing
from backend.units import Clock, new_id

MAX_NAME = 80
# To note each use would make a write of every read.
USE_NOTED_EVERY = timedelta(minutes=5)


class KeyBook:
    """The keys of this server.

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
        self._noted: dict[str, datetime] = {}
        self._lock = threading.Lock()

    def create(
        self,
        name: str,
        *,
        is_admin: bool = False,
        expires_in: timedelta | None = None,
        limits: KeyLimits | None = None,
    ) -> tuple[ApiKey, str]:
        """Make a key; returns it and its secret, which is stored nowhere.

        Raises
        ------
        InvalidParameter
            The name is empty, too long, or that of a key in use.
        """
        name = " ".join(name.split())
        if not 0 < len(name) <= MAX_NAME or not name.isprintable():
            raise InvalidParameter(f"A name has 1 to {MAX_NAME} characters that can be shown.")
        limits, secret, now = limits or KeyLimits(), new_key(), self._clock.now()
        row = ApiKeyRow(
            id=new_id(now),
            name=name,
            sha256=digest(secret),
            prefix=secret[:SHOWN],
            is_admin=is_admin,
            created_at=now,
            expires_at=now + expires_in if expires_in else None,
            **vars(limits),
        )
        with Session(self._writer) as session, session.begin():
            if any(key.is_live(now) for key in _named(session, ApiKeyRow.name == name)):
                raise InvalidParameter(
                    f"There is a key named {name!r} already.",
                    advice="Choose another name, or revoke that key first.",
                )
            session.add(row)
            session.flush()
            return to_key(row), secret

    def find(self, secret: str | None) -> ApiKey | None:
        """Return the live key of a secret; None for every other text.

        The same is done for every text, so that the time of an answer tells nothing.
        """
        wanted = digest(secret or "")
        with Session(self._engine) as session, session.begin():
            row = session.scalars(select(ApiKeyRow).where(ApiKeyRow.sha256 == wanted)).first()
            key = to_key(row) if row else None
            stored = row.sha256 if row else digest("")
        matches = hmac.compare_digest(stored, wanted) and is_key(secret or "")
        if key is None or not matches or not key.is_live(self._clock.now()):
            return None
        return key

    def get(self, key_id: str) -> ApiKey | None:
        """Return a live key by its identifier."""
        with Session(self._engine) as session, session.begin():
            row = session.get(ApiKeyRow, key_id)
            key = to_key(row) if row else None
        return key if key and key.is_live(self._clock.now()) else None

    def all_keys(self) -> list[ApiKey]:
        """List all keys, the oldest first, also those that have ended."""
        with Session(self._engine) as session, session.begin():
            rows = session.scalars(select(ApiKeyRow).order_by(ApiKeyRow.id)).all()
            return [to_key(row) for row in rows]

    def has_live(self) -> bool:
        """Whether anybody could be let in."""
        now = self._clock.now()
        return any(key.is_live(now) for key in self.all_keys())

    def revoke(self, name_or_prefix: str) -> ApiKey:
        """End a key at once, and with it all its logins.

        Raises
        ------
        NotFound
            No live key has this name, or begins so.
        InvalidParameter
            Several do.
        """
        now = self._clock.now()
        wanted = or_(ApiKeyRow.name == name_or_prefix, ApiKeyRow.prefix == name_or_prefix[:SHOWN])
        with Session(self._writer) as session, session.begin():
            found = [key for key in _named(session, wanted) if key.is_live(now)]
            if not found:
                raise NotFound(
                    "No live key has this name or prefix.",
                    advice="See 'python -m backend keys list'.",
                )
            if len(found) > 1:
                raise InvalidParameter("Several keys match.", advice="Give the whole prefix.")
            row = session.get_one(ApiKeyRow, found[0].id)
            row.revoked_at = now
            session.flush()
            return to_key(row)

    def note_use(self, key: ApiKey) -> None:
        """Remember that a key was used; never raises, and writes seldom."""
        now = self._clock.now()
        with self._lock:
            known = self._noted.get(key.id) or key.last_used_at
            if known is not None and now - known < USE_NOTED_EVERY:
                return
            self._noted[key.id] = now
        try:
            with Session(self._writer) as session, session.begin():
                row = session.get(ApiKeyRow, key.id)
                if row is not None:
                    row.last_used_at = now
        except SQLAlchemyError:  # the database is busy: the next use is noted
            with self._lock:
                self._noted.pop(key.id, None)


def to_key(row: ApiKeyRow) -> ApiKey:
    """Copy a row into a record that outlives its database session."""
    return ApiKey(
        id=row.id,
        name=row.name,
        prefix=row.prefix,
        created_at=row.created_at,
        is_admin=row.is_admin,
        limits=KeyLimits(
            row.submits_per_min, row.reads_per_min, row.max_queued_jobs, row.max_stored_gb
        ),
        last_used_at=row.last_used_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )


def _named(session: Session, wanted: Any) -> Sequence[ApiKey]:
    return [to_key(row) for row in session.scalars(select(ApiKeyRow).where(wanted))]
