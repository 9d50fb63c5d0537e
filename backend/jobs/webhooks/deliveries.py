"""Which webhooks are due, who carries them, and what came of it: in SQL, for many processes.

Whoever takes a webhook moves its ``next_at`` beyond the longest time an attempt may last, and
names that time when it reports. A process that dies on the way leaves a webhook that is due again
then; one that was taken over in the meantime reports nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from secrets import SystemRandom
from typing import Any

from sqlalchemy import and_, exists, or_, select, update
from sqlalchemy.orm import Session, aliased

from backend.errors import NotFound
from backend.jobs.schema import JobRow
from backend.jobs.states import TERMINAL
from backend.jobs.store import JobStore
from backend.jobs.webhooks.table import WebhookRow, WebhookState

HELD_FOR = timedelta(seconds=60)
RETRIES_AFTER = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
)
JITTER = 0.2
GONE = 410
_ENDED = [state.value for state in TERMINAL]
_PENDING = WebhookState.PENDING.value


@dataclass(frozen=True)
class Delivery:
    """One attempt to be made; ``held_until`` is the fence of whoever makes it."""

    id: str
    job_id: str | None
    batch_id: str | None
    key_id: str | None
    url: str
    host: str
    attempt: int
    held_until: datetime


@dataclass(frozen=True)
class Outcome:
    """What came of an attempt: the status that was answered, or why there is none."""

    status: int | None
    error: str | None = None

    @property
    def is_success(self) -> bool:
        """Whether the receiver took it; a redirect is no success."""
        return self.status is not None and 200 <= self.status < 300


class Deliveries:
    """Webhooks from pending to delivered, failed or disabled.

    Parameters
    ----------
    store : JobStore
        The job database.
    random : callable, optional
        A number from 0 to 1, so that retries of many messages spread out.
    """

    def __init__(self, store: JobStore, random: Callable[[], float] | None = None) -> None:
        self._engine = store.engine
        self._writer = store.writer
        self._clock = store.clock
        self._random = random or SystemRandom().random

    def take(self, busy_hosts: Collection[str] = ()) -> Delivery | None:
        """Take the webhook that has been due longest, or None.

        Parameters
        ----------
        busy_hosts : collection of str
            Receivers that are being called: one that hangs should hold up nobody else.
        """
        now = self._clock.now()
        query = _due(now).limit(1)
        if busy_hosts:
            query = query.where(WebhookRow.host.not_in(busy_hosts))
        with self._engine.connect() as connection:
            found = connection.execute(query).first()
        if found is None:
            return None
        held_until = now + HELD_FOR
        taken = self._change(
            found.id, found.next_at, next_at=held_until, attempts=found.attempts + 1
        )
        columns = (found.job_id, found.batch_id, found.key_id, found.url, found.host)
        return Delivery(found.id, *columns, found.attempts + 1, held_until) if taken else None

    def report(self, made: Delivery, outcome: Outcome) -> WebhookState | None:
        """Record what came of an attempt; None if somebody else has taken it over."""
        now = self._clock.now()
        told: dict[str, Any] = {"last_status": outcome.status, "last_error": outcome.error}
        state, next_at = WebhookState.PENDING, None
        if outcome.is_success:
            state, told["delivered_at"] = WebhookState.DELIVERED, now
        elif outcome.status == GONE:
            state = WebhookState.DISABLED
        elif made.attempt > len(RETRIES_AFTER):
            state = WebhookState.FAILED
        else:
            spread = 1 + JITTER * self._random()
            next_at = now + RETRIES_AFTER[made.attempt - 1] * spread
        told |= {"state": state.value, "next_at": next_at}
        if not self._change(made.id, made.held_until, **told):
            return None
        if state is WebhookState.DISABLED:
            self._disable_alike(made)
        return state

    def latest_of_job(self, job_id: str) -> WebhookRow:
        """Look up the webhook of a job; raises NotFound if it has none."""
        query = select(WebhookRow).where(WebhookRow.job_id == job_id)
        with Session(self._engine, expire_on_commit=False) as session, session.begin():
            row = session.scalars(query.order_by(WebhookRow.id.desc())).first()
        if row is None:
            raise NotFound("This job has no webhook.")
        return row

    def send_again(self, webhook_id: str) -> None:
        """Make a webhook due now, with all its retries before it."""
        with self._writer.begin() as connection:
            connection.execute(
                update(WebhookRow)
                .where(WebhookRow.id == webhook_id)
                .values(state=_PENDING, attempts=0, next_at=self._clock.now())
            )

    def _change(self, webhook_id: str, expected: datetime, **values: Any) -> bool:
        """Change a pending webhook if nobody else has moved its ``next_at``."""
        with self._writer.begin() as connection:
            done = connection.execute(
                update(WebhookRow)
                .where(
                    WebhookRow.id == webhook_id,
                    WebhookRow.state == _PENDING,
                    WebhookRow.next_at == expected,
                )
                .values(**values)
            )
            return done.rowcount == 1

    def _disable_alike(self, gone: Delivery) -> None:
        """Send nothing more of what this owner has waiting for a receiver that is gone."""
        with self._writer.begin() as connection:
            connection.execute(
                update(WebhookRow)
                .where(
                    WebhookRow.state == _PENDING,
                    WebhookRow.url == gone.url,
                    WebhookRow.key_id.is_not_distinct_from(gone.key_id),
                )
                .values(state=WebhookState.DISABLED.value, next_at=None, last_status=GONE)
            )


def _due(now: datetime) -> Any:
    """Select pending webhooks whose time has come and whose job or batch has ended."""
    in_batch = aliased(JobRow)
    unfinished = exists().where(
        in_batch.batch_id == WebhookRow.batch_id, in_batch.status.not_in(_ENDED)
    )
    job_ended = and_(JobRow.status.in_(_ENDED), ~JobRow.deleted)
    batch_ended = and_(WebhookRow.batch_id.is_not(None), ~unfinished)
    return (
        select(*WebhookRow.__table__.columns)
        .outerjoin(JobRow, JobRow.id == WebhookRow.job_id)
        .where(
            WebhookRow.state == _PENDING,
            WebhookRow.next_at <= now,
            or_(job_ended, batch_ended),
        )
        .order_by(WebhookRow.next_at, WebhookRow.id)
    )
