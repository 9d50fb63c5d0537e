"""Turns the items of a batch into jobs with stored files, several pictures at a time."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from backend.errors import BadInput
from backend.jobs.artefacts import ArtefactStore
from backend.jobs.batches.drafts import ItemDraft, ReadFiles, ReadyItem
from backend.jobs.batches.records import item_problem
from backend.jobs.core_count import core_count
from backend.jobs.store import NewJob
from backend.jobs.trace_links import trace_here
from backend.units import Clock, new_id

MAX_THREADS = 8
"""More would wait for the interpreter, which only decoding and encoding let go of."""
READ_AHEAD = 1


class Intake:
    """Reads items in order, and their pictures in threads of its own.

    Parameters
    ----------
    artefacts : ArtefactStore
        Where the files go.
    clock : Clock
        Source of time.
    threads : int, optional
        How many pictures are worked on at a time; as many as there are cores, at most eight.

    Notes
    -----
    At most one picture more than there are threads is in memory as it was sent.
    """

    def __init__(self, artefacts: ArtefactStore, clock: Clock, threads: int | None = None) -> None:
        self._artefacts = artefacts
        self._clock = clock
        self._threads = threads or min(MAX_THREADS, core_count())

    def take(self, batch_id: str, drafts: Sequence[ItemDraft]) -> list[ReadyItem]:
        """Store the files of all items that can be used; what is wrong with one is its problem.

        Jobs start in the order of their identifiers, so these are in the order of the items.
        Any other error than BadInput ends the whole, and leaves no file.
        """
        job_ids = sorted(new_id(self._clock.now()) for _ in drafts)
        taken: list[Future[ReadyItem]] = []
        with ThreadPoolExecutor(self._threads, "batch-intake") as pool:
            try:
                for job_id, draft in zip(job_ids, drafts, strict=True):
                    taken.append(self._begun(pool, batch_id, job_id, draft))
                    _wait_for_room(taken, self._threads + READ_AHEAD)
                return [future.result() for future in taken]
            except BaseException:
                pool.shutdown(cancel_futures=True)
                self._drop(taken)
                raise

    def _begun(
        self, pool: ThreadPoolExecutor, batch_id: str, job_id: str, draft: ItemDraft
    ) -> Future[ReadyItem]:
        """Prepare the job here, where the request is known, and have its files read elsewhere."""
        try:
            job, read_files = draft.make(batch_id)
        except BadInput as error:
            refused: Future[ReadyItem] = Future()
            refused.set_result(ReadyItem(draft.custom_id, problem=item_problem(error)))
            return refused
        job = replace(job, id=job_id, trace=trace_here())
        return pool.submit(self._stored, draft.custom_id, job, read_files)

    def _stored(self, custom_id: str, job: NewJob, read_files: ReadFiles) -> ReadyItem:
        try:
            files = read_files()
        except BadInput as error:
            return ReadyItem(custom_id, problem=item_problem(error))
        try:
            for name, data in files.items():
                self._artefacts.put_input(job.id, name, data)
        except BaseException:
            self._artefacts.remove(job.id)
            raise
        size_bytes = sum(map(len, files.values()))
        return ReadyItem(custom_id, replace(job, inputs=tuple(files), input_bytes=size_bytes))

    def _drop(self, taken: Sequence[Future[ReadyItem]]) -> None:
        for future in taken:
            if future.cancelled() or future.exception():
                continue
            job = future.result().job
            if job:
                self._artefacts.remove(job.id)


def _wait_for_room(taken: Sequence[Future[ReadyItem]], most: int) -> None:
    """Wait until fewer than ``most`` are under way; raises what ended the earliest of them."""
    if len(taken) >= most:
        taken[-most].result()
