"""Everything about access of one server, as one."""

from __future__ import annotations

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from backend.jobs.access.audit_log import AuditLog
from backend.jobs.access.in_force import keys_in_force
from backend.jobs.access.job_owners import owner_of
from backend.jobs.access.key_book import KeyBook
from backend.jobs.access.logins import Logins
from backend.jobs.access.share_links import ShareLinks
from backend.jobs.access.viewer import current_key, current_key_id
from backend.jobs.batches.tables import BatchRow
from backend.settings import Settings
from backend.units import Clock


class Access:
    """Keys, logins, links and the audit log.

    Parameters
    ----------
    engine : Engine
        The job database.
    settings : Settings
        Whether keys are in force.
    clock : Clock
        Source of time.
    """

    def __init__(self, engine: Engine, settings: Settings, clock: Clock) -> None:
        self.keys = KeyBook(engine, clock)
        self.logins = Logins(engine, clock)
        self.links = ShareLinks(engine, clock)
        self.audit = AuditLog(engine, clock)
        self.keys_in_force = keys_in_force(settings)
        self._engine = engine

    def note_on_job(self, action: str, job_id: str) -> None:
        """Write down what the key of this request did to a job, if that is not its own."""
        if current_key() is None:
            return
        with Session(self._engine) as session, session.begin():
            owner = owner_of(session, job_id)
        self._note_foreign(action, job_id, owner)

    def note_on_batch(self, action: str, batch_id: str) -> None:
        """Write down what the key of this request did to a batch, if that is not its own."""
        if current_key() is None:
            return
        with Session(self._engine) as session, session.begin():
            owner = session.scalar(select(BatchRow.key_id).where(BatchRow.id == batch_id))
        self._note_foreign(action, batch_id, owner)

    def _note_foreign(self, action: str, target: str, owner: str | None) -> None:
        if owner != current_key_id():
            self.audit.record(action, target, owner=owner)
