"""What must hold after any kill: each check returns what breaks it, with the job's id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.jobs.artefacts.local_store import ArtefactStore
from backend.jobs.artefacts.made_file import sha256_of
from backend.jobs.schema import JobRow
from backend.jobs.states import TERMINAL, EventType, JobState
from backend.jobs.store import JobStore
from bench.chaos.log import ClientLog, Followed, Seen


@dataclass(frozen=True)
class Output:
    """A file as the row promises it."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class StoredJob:
    """A job as the database tells it."""

    id: str
    name: str
    status: JobState
    attempt: int
    error: object
    outputs: tuple[Output, ...]


@dataclass(frozen=True)
class Violation:
    """A promise that was broken."""

    rule: str
    job_id: str
    detail: str


def stored_jobs(store: JobStore) -> dict[str, StoredJob]:
    """Read every row."""
    with Session(store.engine) as session:
        return {
            row.id: StoredJob(
                row.id,
                row.name,
                JobState(row.status),
                row.attempt,
                row.error,
                tuple(Output(out.name, out.bytes, out.sha256) for out in row.outputs),
            )
            for row in session.scalars(select(JobRow))
        }


def check_rows(log: ClientLog, jobs: dict[str, StoredJob]) -> Iterator[Violation]:
    """Nothing acknowledged is lost or stuck, and each job has ended as it should."""
    for name, job_id in log.acknowledged.items():
        job = jobs.get(job_id)
        if job is None:
            yield Violation("lost", job_id, f"{name} was acknowledged and has no row")
        elif job.status not in TERMINAL:
            yield Violation("stuck", job_id, f"{name} is {job.status}, attempt {job.attempt}")
        elif job.status is JobState.CANCELED and job_id not in log.canceled:
            yield Violation("canceled", job_id, f"{name} was canceled by nobody")
        elif job.status not in (JobState.SUCCEEDED, JobState.CANCELED):
            yield Violation("failed", job_id, f"{name} is {job.status}: {job.error}")


def check_keys(log: ClientLog, jobs: dict[str, StoredJob]) -> Iterator[Violation]:
    """Each idempotency key has one job, and no request was refused."""
    for name, ids in log.answers.items():
        if len(ids) > 1:
            yield Violation("two answers", min(ids), f"{name} was answered with {sorted(ids)}")
    for name, count in Counter(job.name for job in jobs.values()).items():
        if count > 1:
            same = sorted(job.id for job in jobs.values() if job.name == name)
            yield Violation("two jobs for a key", same[0], f"{name}: {same}")
    for text in log.refused:
        yield Violation("refused", "", text)


def check_terminal(log: ClientLog, jobs: dict[str, StoredJob]) -> Iterator[Violation]:
    """What the API and the sockets told as the end is what the row says."""
    told = log.terminal + [(f.job_id, f.ended) for f in log.followed if f.ended]
    for job_id, status in told:
        job = jobs.get(job_id)
        if job is not None and status != job.status.value:
            yield Violation("two ends", job_id, f"a client heard {status}, the row is {job.status}")
    for followed in log.followed:
        if followed.ended is None:
            kinds = [event.type for event in followed.events[-5:]]
            detail = f"{followed.connections} connections, last events {kinds}"
            yield Violation("end not told", followed.job_id, detail)


def check_events(followed: Followed) -> Iterator[Violation]:
    """Numbers without holes or an explicit gap, in order; progress never falls in an attempt."""
    last: Seen | None = None
    skipped = False
    attempt, progress, ends = 0, 0.0, 0
    for event in followed.events:
        if event.seq == 0:
            # A snapshot further on than the last event stands for what lies between.
            skipped = skipped or (last is not None and event.id != last.id)
            if event.type == EventType.GAP:  # what comes may be told again
                last, attempt, progress = None, 0, 0.0
            continue
        if last is not None and event.seq <= last.seq:
            yield Violation("order", followed.job_id, f"{event.seq} came after {last.seq}")
        elif last is not None and event.seq != last.seq + 1 and not skipped:
            yield Violation("hole", followed.job_id, f"{event.seq} came after {last.seq}")
        last, skipped = event, False
        ends += event.type == EventType.END
        told = int(event.data.get("attempt") or attempt)
        if told != attempt:
            attempt, progress = told, 0.0
        now = event.data.get("progress")
        if now is not None and now < progress:
            yield Violation("progress fell", followed.job_id, f"{now} came after {progress}")
        progress = progress if now is None else float(now)
    if ends > 1:
        yield Violation("finished twice", followed.job_id, f"{ends} ends in its stream")


def check_files(root: Path, jobs: dict[str, StoredJob]) -> Iterator[Violation]:
    """After the janitor: every promised file is whole, and nothing else of a run is left."""
    files = ArtefactStore(root, disk_floor_mb=0)
    for job in jobs.values():
        for output in job.outputs:
            path = files.output_path(job.id, job.attempt, output.name)
            if path is None:
                yield Violation("file missing", job.id, output.name)
            elif path.stat().st_size != output.bytes or sha256_of(path) != output.sha256:
                yield Violation("file differs", job.id, output.name)
        if job.status is JobState.SUCCEEDED and not job.outputs:
            yield Violation("no outputs", job.id, "succeeded without a file")
    for job_id in files.job_ids():
        if job_id not in jobs:
            yield Violation("file without a row", job_id, "its folder is still there")
    for job_id, attempt in files.attempts():
        owner = jobs.get(job_id)
        kept = owner and owner.status is JobState.SUCCEEDED and owner.attempt == attempt
        if owner and not kept:
            yield Violation("second output set", job_id, f"attempt {attempt} of {owner.attempt}")
