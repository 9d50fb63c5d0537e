"""Files in a store that several machines share, with copies on each machine that uses them.

The row of a job says what there is; copies are looked up by it and never asked for more.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from backend.errors import StoreUnavailable
from backend.jobs.artefacts.cache_trim import CacheTrim
from backend.jobs.artefacts.local_store import JOB_ID, ArtefactStore, is_our_name, job_place
from backend.jobs.artefacts.made_file import MadeFile
from backend.jobs.artefacts.remote_folder import RemoteFolder
from backend.jobs.records import OutputRecord
from backend.units import Clock

LOCKS = 64
_ATTEMPT_KEY = re.compile(r"../([0-9a-z]{26})/(?:attempt|output)-(\d+)/.*")

log = logging.getLogger(__name__)


class SharedArtefacts(ArtefactStore):
    """The same methods as the local store; what is not here is fetched.

    Parameters
    ----------
    root : Path
        Folder of the copies on this machine.
    remote : RemoteFolder
        The store.
    disk_floor_mb : int
        As in the local store, for the disk of the copies.
    cache_gb : float
        Copies above this are removed, oldest first.
    idle_s : float
        Copies that were not used for so long are removed.
    """

    def __init__(
        self,
        root: Path,
        remote: RemoteFolder,
        *,
        disk_floor_mb: int = 500,
        cache_gb: float = 20.0,
        idle_s: float = 7200.0,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(root, disk_floor_mb)
        self._remote = remote
        self._locks = [threading.Lock() for _ in range(LOCKS)]
        self.cache = CacheTrim(root, int(cache_gb * 2**30), idle_s, clock)

    def put_input(self, job_id: str, name: str, data: bytes) -> None:
        """Store an upload here and for all; raises StorageFull, StoreUnavailable."""
        super().put_input(job_id, name, data)
        try:
            self._remote.put(self._local(job_id, "input", name), _key(job_id, "input", name))
        except StoreUnavailable:
            super().remove_inputs(job_id)
            raise

    def give_input(self, job_id: str, name: str, path: Path) -> None:
        """Let a file of another job be an upload of a new one, here and for all.

        Raises
        ------
        StorageFull, StoreUnavailable
        """
        self.put_input(job_id, name, path.read_bytes())

    def input_path(self, job_id: str, name: str) -> Path | None:
        """Where an upload lies, fetched if need be; raises StoreUnavailable."""
        return self._found(job_id, "input", name)

    def publish(
        self, job_id: str, attempt: int, files: Sequence[MadeFile]
    ) -> tuple[OutputRecord, ...]:
        """Move the files into place and store them for all; returns when all are verified.

        Raises
        ------
        StoreUnavailable
            Nothing of the attempt is left in the store, or the janitor will remove it.
        """
        records = super().publish(job_id, attempt, files)
        folder = f"output-{attempt}"
        try:
            for record in records:
                path = self._local(job_id, folder, record.name)
                self._remote.put(path, _key(job_id, folder, record.name))
        except StoreUnavailable:
            self.withdraw(job_id, attempt)
            raise
        self.cache.trim_if_due()
        return records

    def offer(self, job_id: str, attempt: int, path: Path) -> None:
        """Show a file of a running attempt to other machines; a store that is away is no matter."""
        if not is_our_name(path.name):
            return
        try:
            self._remote.put(path, _key(job_id, f"attempt-{attempt}", path.name))
        except StoreUnavailable:
            log.info("%s of the running job %s is seen here only", path.name, job_id)

    def withdraw(self, job_id: str, attempt: int) -> None:
        """Remove the result of an attempt that did not win, here and for all."""
        super().withdraw(job_id, attempt)
        self._try_remove(f"{job_place(job_id)}/output-{attempt}")

    def drop_attempt(self, job_id: str, attempt: int) -> None:
        """Remove what an attempt left behind, here and for all."""
        super().drop_attempt(job_id, attempt)
        self._try_remove(f"{job_place(job_id)}/attempt-{attempt}")

    def output_path(self, job_id: str, attempt: int, name: str) -> Path | None:
        """Where a published file lies, fetched if need be; raises StoreUnavailable."""
        return self._found(job_id, f"output-{attempt}", name)

    def live_path(self, job_id: str, attempt: int, name: str) -> Path | None:
        """Where a file of the running attempt lies, fetched if it was offered elsewhere."""
        return self._found(job_id, f"attempt-{attempt}", name)

    def remove(self, job_id: str) -> None:
        """Remove everything of a job, here and for all; raises StoreUnavailable."""
        super().remove(job_id)
        self._remote.remove(job_place(job_id))

    def remove_inputs(self, job_id: str) -> None:
        """Remove the uploads of a job, here and for all; raises StoreUnavailable."""
        super().remove_inputs(job_id)
        self._remote.remove(f"{job_place(job_id)}/input")

    def size_bytes(self, job_id: str) -> int:
        """Bytes of a job in the store."""
        return self.sizes().get(job_id, 0)

    def sizes(self) -> dict[str, int]:
        """Bytes in the store of each job that has any: one listing."""
        totals: dict[str, int] = {}
        for key, size in self._remote.listing().items():
            job_id = _job_of(key)
            if job_id:
                totals[job_id] = totals.get(job_id, 0) + size
        return totals

    def job_ids(self) -> Iterator[str]:
        """Every job that has a file in the store."""
        found = {_job_of(key) for key in self._remote.keys()}  # noqa: SIM118  it is no mapping
        yield from sorted(job_id for job_id in found if job_id)

    def changed_at(self, job_id: str) -> float | None:
        """When the newest file of a job was stored, seconds since 1970."""
        return self._remote.changed_at(job_place(job_id))

    def attempts(self) -> set[tuple[str, int]]:
        """Every attempt that has files in the store or here."""
        matches = map(_ATTEMPT_KEY.fullmatch, self._remote.keys())
        return super().attempts() | {(match[1], int(match[2])) for match in matches if match}

    def _found(self, job_id: str, folder: str, name: str) -> Path | None:
        if not is_our_name(name):
            return None
        path = self._local(job_id, folder, name)
        if not path.is_file() and not self._fetch(_key(job_id, folder, name), path):
            return None
        self.cache.note_use(self._folder(job_id))
        self.cache.trim_if_due()
        return path

    def _fetch(self, key: str, path: Path) -> bool:
        """Fetch what many ask for at the same moment only once."""
        with self._locks[hash(key) % LOCKS]:
            return path.is_file() or self._remote.fetch(key, path)

    def _local(self, job_id: str, folder: str, name: str) -> Path:
        return self._folder(job_id) / folder / name

    def _try_remove(self, folder: str) -> None:
        try:
            self._remote.remove(folder)
        except StoreUnavailable:
            log.warning("%s stays in the file store until the janitor comes", folder)


def _key(job_id: str, folder: str, name: str) -> str:
    return f"{job_place(job_id)}/{folder}/{name}"


def _job_of(key: str) -> str | None:
    parts = key.split("/")
    return parts[1] if len(parts) > 2 and JOB_ID.fullmatch(parts[1]) else None
