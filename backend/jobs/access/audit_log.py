"""What was done with an administrator's rights, and by whom: a row and a line in the log."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from backend.jobs.access.tables import AuditRow
from backend.jobs.access.viewer import current_key
from backend.jobs.schema import for_writing
from backend.units import Clock, new_id

COMMAND_LINE = "command line"
NO_KEY = "without a key"
_MAX_ACTOR, _MAX_ACTION, _MAX_TARGET, _MAX_CLIENT = 120, 60, 300, 60

log = logging.getLogger("meshkiln.audit")


@dataclass(frozen=True)
class AuditEntry:
    """One thing that was done.

    Parameters
    ----------
    actor : str
        Name and prefix of the key, 'command line', or 'without a key'.
    action : str
        Such as 'gpu.offload' or 'key.created'.
    target : str
        What it was done to.
    client : str or None
        Network address it came from.
    """

    at: datetime
    actor: str
    action: str
    target: str
    client: str | None = None
    detail: dict[str, Any] = field(default_factory=dict)


class AuditLog:
    """The record of this server.

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

    def record(
        self,
        action: str,
        target: str,
        *,
        actor: str | None = None,
        client: str | None = None,
        **detail: Any,
    ) -> None:
        """Write a row and a line; never raises: what was done is done.

        Parameters
        ----------
        actor : str, optional
            The key of the request if absent.
        """
        entry = AuditEntry(
            self._clock.now(),
            (actor or _actor())[:_MAX_ACTOR],
            action[:_MAX_ACTION],
            target[:_MAX_TARGET],
            client and client[:_MAX_CLIENT],
            detail,
        )
        fields = {name: value for name, value in vars(entry).items() if name != "at"}
        log.info("audit", extra={"fields": fields})
        try:
            with Session(self._writer) as session, session.begin():
                session.add(AuditRow(id=new_id(entry.at), **vars(entry)))
        except SQLAlchemyError:
            log.exception("the entry was not stored")

    def entries(self, since: datetime | None = None, limit: int = 1000) -> list[AuditEntry]:
        """Return the newest entries, the oldest of them first."""
        query = select(AuditRow).order_by(AuditRow.id.desc()).limit(limit)
        if since is not None:
            query = query.where(AuditRow.at >= since)
        with Session(self._engine) as session, session.begin():
            found = [
                AuditEntry(row.at, row.actor, row.action, row.target, row.client, row.detail)
                for row in session.scalars(query)
            ]
        return found[::-1]


def _actor() -> str:
    key = current_key()
    return f"{key.name} ({key.prefix})" if key else NO_KEY
