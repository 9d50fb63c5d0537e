"""Whose a job is, and how many jobs and bytes a key may have."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sqlalchemy import Engine, delete, func, select
from sqlalchemy.orm import Session

from backend.errors import QuotaExceeded
from backend.jobs.access.tables import JobOwnerRow, StoredInputsRow
from backend.jobs.access.viewer import current_key, current_key_id, is_restricted
from backend.jobs.schema import JobRow, OutputRow
from backend.jobs.states import JobState

GB = 2**30
COME_BACK_S = 30


def check_quota(session: Session) -> None:
    """Raise QuotaExceeded when the key of this request may not have another job."""
    key = current_key()
    if key is None:
        return
    queued, stored_gb = key.limits.max_queued_jobs, key.limits.max_stored_gb
    if queued is not None and _waiting(session, key.id) >= queued:
        raise QuotaExceeded(
            f"This key has {queued} waiting jobs, which is all it may have.",
            advice="Wait for some of them to finish.",
            retry_after_s=COME_BACK_S,
        )
    if stored_gb is not None and _stored_bytes(session, key.id) >= stored_gb * GB:
        raise QuotaExceeded(
            f"What this key has sent and made takes {stored_gb:g} GB, which is all it may have.",
            advice="Delete some of its jobs.",
        )


def quota_room(session: Session, wanted: int) -> int:
    """How many of the wanted jobs the key of this request may still have waiting."""
    key = current_key()
    if key is None or key.limits.max_queued_jobs is None:
        return wanted
    return max(0, min(wanted, key.limits.max_queued_jobs - _waiting(session, key.id)))


def record_owner(session: Session, job_id: str, input_bytes: int | None = None) -> None:
    """Write down the key of this request as the owner of a job that it stores.

    ``input_bytes`` is the size of what was uploaded for it; None is not known and not counted.
    """
    key = current_key()
    if key is not None:
        session.add(JobOwnerRow(job_id=job_id, key_id=key.id))
    if input_bytes is not None:
        session.add(StoredInputsRow(job_id=job_id, bytes=input_bytes))


def stored_input_bytes(engine: Engine, job_id: str) -> int | None:
    """Return how large the uploads of a job are; None if that was not written down."""
    with Session(engine) as session:
        row = session.get(StoredInputsRow, job_id)
        return row.bytes if row else None


def hand_over(session: Session, job_ids: Collection[str], key_id: str | None) -> None:
    """Make some jobs another key's, or nobody's: an administrator may act for their owner."""
    session.flush()
    session.execute(delete(JobOwnerRow).where(JobOwnerRow.job_id.in_(job_ids)))
    if key_id is not None:
        session.add_all(JobOwnerRow(job_id=job_id, key_id=key_id) for job_id in job_ids)


def may_see(session: Session, job_id: str) -> bool:
    """Whether this request may know of a job: the others' look as if there were none."""
    key = current_key()
    return key is None or not is_restricted() or owner_of(session, job_id) == key.id


def visible_jobs(engine: Engine, job_ids: Iterable[str]) -> frozenset[str]:
    """Return those of some jobs that this request may know of."""
    wanted = frozenset(job_ids)
    if not is_restricted():
        return wanted
    query = select(JobOwnerRow.job_id).where(
        JobOwnerRow.key_id == current_key_id(), JobOwnerRow.job_id.in_(wanted)
    )
    with engine.connect() as connection:
        return frozenset(connection.scalars(query))


def owner_of(session: Session, job_id: str) -> str | None:
    """Return the key that submitted a job; None if none was needed."""
    row = session.get(JobOwnerRow, job_id)
    return row.key_id if row else None


def _waiting(session: Session, key_id: str) -> int:
    query = (
        select(func.count())
        .select_from(JobRow)
        .join(JobOwnerRow, JobOwnerRow.job_id == JobRow.id)
        .where(
            JobOwnerRow.key_id == key_id,
            JobRow.status == JobState.QUEUED.value,
            ~JobRow.deleted,
        )
    )
    return session.scalar(query) or 0


def _stored_bytes(session: Session, key_id: str) -> int:
    """Add up results and uploads of a key that are still there."""
    made = (
        select(func.sum(OutputRow.bytes))
        .join(JobOwnerRow, JobOwnerRow.job_id == OutputRow.job_id)
        .where(JobOwnerRow.key_id == key_id)
    )
    sent = (
        select(func.sum(StoredInputsRow.bytes))
        .join(JobOwnerRow, JobOwnerRow.job_id == StoredInputsRow.job_id)
        .join(JobRow, JobRow.id == StoredInputsRow.job_id)
        .where(JobOwnerRow.key_id == key_id, ~JobRow.inputs_removed)
    )
    return int(session.scalar(made) or 0) + int(session.scalar(sent) or 0)
