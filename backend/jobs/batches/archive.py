"""All results of a batch as a zip file that is made while it is sent.

Nothing is compressed: models and pictures are already. One file is open at a time, and what is in
memory is one piece of it and the directory of the archive.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import IO, cast

from backend.jobs.artefacts import ArtefactStore
from backend.jobs.batches.folder_names import FolderNames
from backend.jobs.batches.manifest import manifest_csv, manifest_document, manifest_row
from backend.jobs.batches.records import BatchRecord
from backend.jobs.batches.results import ItemResult
from backend.jobs.records import OutputRecord

CHUNK_BYTES = 1 << 18
_EARLIEST = datetime(1980, 1, 1, tzinfo=UTC)
_PLAIN_FILE = 0o100644 << 16


def archive_chunks(
    batch: BatchRecord, results: Iterator[ItemResult], artefacts: ArtefactStore
) -> Iterator[bytes]:
    """Yield the archive: ``<item>/<file>`` for what succeeded, then the manifest.

    Parameters
    ----------
    batch : BatchRecord
        Shown in the manifest.
    results : iterator of ItemResult
        Its items; asked for the next one only when the files of the one before are sent.
    artefacts : ArtefactStore
        Where the files are. One that is gone is left out and named in the manifest.
    """
    outlet = _Outlet()
    folders, rows = FolderNames(), []
    with zipfile.ZipFile(cast("IO[bytes]", outlet), "w", zipfile.ZIP_STORED) as archive:
        for result in results:
            folder, missing = folders.take(result.item.custom_id), []
            for output in result.job.outputs if result.job else ():
                file = _opened(result, output, artefacts)
                if file is None:
                    missing.append(output.name)
                    continue
                info = _info(f"{folder}/{output.name}", result, output)
                with file, archive.open(info, "w") as target:
                    while chunk := file.read(CHUNK_BYTES):
                        target.write(chunk)
                        yield outlet.take()
            rows.append(manifest_row(result, folder, missing))
            yield outlet.take()
        manifest = json.dumps(manifest_document(batch, rows), indent=1).encode()
        for name, data in (("json", manifest), ("csv", manifest_csv(rows).encode())):
            info = zipfile.ZipInfo(f"manifest.{name}", _date(batch.finished_at))
            info.external_attr = _PLAIN_FILE
            archive.writestr(info, data)
            yield outlet.take()
    yield outlet.take()


class _Outlet:
    """Takes what the library writes, to be handed on."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Do nothing: what was written is taken."""

    def take(self) -> bytes:
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken


def _opened(result: ItemResult, output: OutputRecord, artefacts: ArtefactStore) -> IO[bytes] | None:
    job = result.job
    path = artefacts.output_path(job.id, job.attempt, output.name) if job else None
    try:
        return path.open("rb") if path else None
    except FileNotFoundError:  # removed between the look and the opening
        return None


def _info(name: str, result: ItemResult, output: OutputRecord) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _date(result.job.finished_at if result.job else None))
    info.file_size = output.bytes  # lets the library choose the format for large files
    info.external_attr = _PLAIN_FILE
    return info


def _date(moment: datetime | None) -> tuple[int, int, int, int, int, int]:
    at = max(moment or _EARLIEST, _EARLIEST).astimezone(UTC)
    return at.year, at.month, at.day, at.hour, at.minute, at.second
