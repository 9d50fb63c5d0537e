"""What the web uses of batches: create, look up, pause, cancel, try again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from backend.errors import FieldProblem, MeshkilnError, NothingAccepted
from backend.jobs.batches.drafts import ItemDraft, NewBatch, ReadyItem
from backend.jobs.batches.intake import Intake
from backend.jobs.batches.orders import BatchOrders
from backend.jobs.batches.records import BatchItem, BatchRecord, batch_document
from backend.jobs.batches.results import BatchResults, ItemResult
from backend.jobs.batches.retries import BatchRetries
from backend.jobs.batches.store import BatchPage, BatchStore
from backend.jobs.batches.writer import BatchWriter
from backend.jobs.store import NewJob
from backend.units import new_id

if TYPE_CHECKING:
    from backend.jobs.service import JobService

MAX_PROBLEMS_TOLD = 100


class BatchService:
    """Batches of one server.

    Parameters
    ----------
    jobs : JobService
        What stores, announces and prepares their jobs.
    """

    def __init__(self, jobs: JobService) -> None:
        self._jobs = jobs
        self._store = BatchStore(jobs.store)
        self._intake = Intake(jobs.artefacts, jobs.clock)
        self._writer = BatchWriter(jobs.store)
        self._orders = BatchOrders(jobs.store)
        self._retries = BatchRetries(jobs, self._store)
        self._results = BatchResults(jobs.store.engine, self._store)

    def find_known(self, new: NewBatch) -> BatchRecord | None:
        """Find what the idempotency key has made before; raises IdempotencyKeyReused."""
        known = self._writer.known(new)
        return self._store.get(known) if known else None

    def create(self, new: NewBatch, drafts: Sequence[ItemDraft]) -> tuple[BatchRecord, bool]:
        """Store a batch with a job for each item that can be used, then ring.

        Parameters
        ----------
        new : NewBatch
            Its parameters are valid.
        drafts : sequence of ItemDraft
            Read in their order; what is wrong with one is kept as its problem.

        Returns
        -------
        tuple
            The batch, and whether it is new (False: its idempotency key had been used).

        Raises
        ------
        NothingAccepted
            No item can be used.
        IdempotencyKeyReused, QueueFull, QuotaExceeded, StorageFull
        """
        batch_id = new_id(self._jobs.clock.now())
        items = self._intake.take(batch_id, drafts)
        _check_any(items)
        wanted = [item.job for item in items if item.job]
        try:
            written = self._writer.write(batch_id, new, items)
        except MeshkilnError:  # of any other error nobody knows whether the rows were stored
            self._drop_files(wanted)
            raise
        kept = {item.job.id for item in items if item.job} if written.is_new else set()
        self._drop_files([job for job in wanted if job.id not in kept])
        warnings = self._jobs.announce([job for job in wanted if job.id in kept])
        return replace(self._store.get(written.batch_id), warnings=tuple(warnings)), written.is_new

    def get(self, batch_id: str) -> BatchRecord:
        """Look up a batch; raises NotFound."""
        return self._store.get(batch_id)

    def page(self, limit: int = 50, cursor: str | None = None) -> BatchPage:
        """List batches, newest first; raises InvalidParameter."""
        return self._store.page(limit, cursor)

    def items(self, batch_id: str, after: int = -1, limit: int | None = None) -> list[BatchItem]:
        """Items after a position; the batch must have been looked up before."""
        return self._store.items(batch_id, after, limit)

    def results(self, batch_id: str) -> Iterator[ItemResult]:
        """Items with their jobs, read page by page; the batch must have been looked up before."""
        return self._results.of(batch_id)

    def document(self, batch_id: str) -> dict[str, Any]:
        """Write the JSON of a batch with its items; raises NotFound."""
        return batch_document(self._store.get(batch_id), self._store.items(batch_id))

    def pause(self, batch_id: str) -> BatchRecord:
        """Start no more of its jobs; running ones go on.

        Raises
        ------
        NotFound, BatchFinished, QueueFull
        """
        self._orders.pause(batch_id)
        self._jobs.access.note_on_batch("batch.paused", batch_id)
        return self._store.get(batch_id)

    def resume(self, batch_id: str) -> BatchRecord:
        """Let its jobs start again; raises NotFound."""
        for queue in self._orders.resume(batch_id):
            self._jobs.ring(queue)
        self._jobs.access.note_on_batch("batch.resumed", batch_id)
        return self._store.get(batch_id)

    def cancel(self, batch_id: str) -> BatchRecord:
        """Stop everything of it; raises NotFound, BatchFinished."""
        for stopped in self._orders.cancel(batch_id):
            self._jobs.announce_stop(stopped.job_id, stopped.status, stopped.attempt)
        self._jobs.access.note_on_batch("batch.canceled", batch_id)
        return self._store.get(batch_id)

    def retry_failed(self, batch_id: str) -> BatchRecord:
        """Run its failed items again as new jobs.

        Raises
        ------
        NotFound, NothingFailed, FilesExpired, QueueFull, QuotaExceeded, StorageFull
        """
        warnings = self._retries.retry_failed(batch_id)
        self._jobs.access.note_on_batch("batch.retried", batch_id)
        return replace(self._store.get(batch_id), warnings=tuple(warnings))

    def _drop_files(self, jobs: Sequence[NewJob]) -> None:
        for job in jobs:
            self._jobs.artefacts.remove(job.id)


def _check_any(items: Sequence[ReadyItem]) -> None:
    if any(item.job for item in items):
        return
    told = tuple(
        FieldProblem(f"/items/{position}", f"{item.custom_id}: {item.problem['detail']}")
        for position, item in enumerate(items[:MAX_PROBLEMS_TOLD])
        if item.problem
    )
    raise NothingAccepted(f"None of its {len(items)} items can be used.", fields=told)
