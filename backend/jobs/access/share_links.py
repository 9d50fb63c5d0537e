"""Links with which anybody may look at one job."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine, delete, select
from sqlalchemy.orm import Session

from backend.jobs.access.secret_tokens import digest, new_token
from backend.jobs.access.tables import ShareRow
from backend.jobs.schema import for_writing
from backend.units import Clock


@dataclass(frozen=True)
class ShareLink:
    """A link that is valid; its token is known to those who were given it only."""

    created_at: datetime
    expires_at: datetime


class ShareLinks:
    """The links of this server. Who may make one is not asked here.

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

    def create(self, job_id: str, lasts: timedelta) -> tuple[str, ShareLink]:
        """Make a link; returns its token, which is not stored, and the link."""
        token, now = new_token(), self._clock.now()
        link = ShareLink(now, now + lasts)
        row = ShareRow(sha256=digest(token), job_id=job_id, **vars(link))
        with Session(self._writer) as session, session.begin():
            session.add(row)
        return token, link

    def job_of(self, token: str) -> str | None:
        """Return the job a token shows; None if it shows none any more."""
        query = select(ShareRow.job_id).where(
            ShareRow.sha256 == digest(token), ShareRow.expires_at > self._clock.now()
        )
        with Session(self._engine) as session, session.begin():
            return session.scalar(query)

    def of_job(self, job_id: str) -> list[ShareLink]:
        """List the valid links of a job, the oldest first."""
        query = (
            select(ShareRow)
            .where(ShareRow.job_id == job_id, ShareRow.expires_at > self._clock.now())
            .order_by(ShareRow.created_at)
        )
        with Session(self._engine) as session, session.begin():
            rows = session.scalars(query).all()
            return [ShareLink(row.created_at, row.expires_at) for row in rows]

    def revoke(self, job_id: str) -> int:
        """End all links of a job; returns how many there were."""
        with self._writer.begin() as connection:
            done = connection.execute(delete(ShareRow).where(ShareRow.job_id == job_id))
            return done.rowcount
