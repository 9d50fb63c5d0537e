"""What batches took, kept in SQLite so that the next start knows it."""

from __future__ import annotations

import logging
import sqlite3
import threading
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from backend.gpu.peak_model import BatchOutcome, BatchSample

SCHEMA_VERSION = 1
ROWS_PER_KEY = 200
BUSY_S = 10.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BatchKey:
    """What decides the memory of a batch beside its size.

    Parameters
    ----------
    bucket : str
        Resolution, number of views or grid, e.g. ``512x512``.
    """

    gpu: str
    model: str
    stage: str
    bucket: str
    precision: str = "fp32"
    attention: str = "math"
    compiled: bool = False
    torch: str = ""

    def text(self) -> str:
        """Write the key as one line."""
        return "|".join(f"{name}={value}" for name, value in asdict(self).items())


class BatchHistory:
    """Samples by key, the last two hundred each; safe for several threads and processes.

    Parameters
    ----------
    path : Path
        The file; a damaged or newer one is moved aside.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._prepare()
        except sqlite3.OperationalError:  # locked or a full disk: the file itself is good
            raise
        except sqlite3.DatabaseError as error:
            log.warning("%s cannot be used: %s", path, error)
            self._move_aside()
            self._prepare()

    def record(self, key: BatchKey, sample: BatchSample) -> None:
        """Keep a sample; the oldest of the key goes when there are too many."""
        row = (
            key.text(), replace(key, bucket="").text(), key.bucket, sample.batch_size,
            sample.peak_mb, sample.elapsed_s, sample.outcome.value, sample.free_mb, sample.steps,
        )  # fmt: skip
        with self._lock, closing(self._connect()) as db, db:
            db.execute(
                "INSERT INTO samples (key, family, bucket, batch_size, peak_mb, elapsed_s, outcome,"
                " free_mb, steps) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            )
            db.execute(
                "DELETE FROM samples WHERE key = ?1 AND id NOT IN "
                "(SELECT id FROM samples WHERE key = ?1 ORDER BY id DESC LIMIT ?2)",
                (key.text(), ROWS_PER_KEY),
            )

    def samples(self, key: BatchKey) -> list[BatchSample]:
        """Return the samples of a key, oldest first."""
        with self._lock, closing(self._connect()) as db:
            rows = db.execute(
                "SELECT batch_size, elapsed_s, peak_mb, free_mb, outcome, steps FROM samples "
                "WHERE key = ? ORDER BY id",
                (key.text(),),
            ).fetchall()
        return [
            BatchSample(size, elapsed, peak, free, BatchOutcome(outcome), steps)
            for size, elapsed, peak, free, outcome, steps in rows
        ]

    def other_buckets(self, key: BatchKey) -> dict[str, list[BatchSample]]:
        """Return the samples that differ from a key in the bucket only."""
        with self._lock, closing(self._connect()) as db:
            rows = db.execute(
                "SELECT DISTINCT bucket FROM samples WHERE family = ? AND bucket != ?",
                (replace(key, bucket="").text(), key.bucket),
            ).fetchall()
        return {bucket: self.samples(replace(key, bucket=bucket)) for (bucket,) in rows}

    def _move_aside(self) -> None:
        """Keep the file, and what was not yet merged into it, under a name that is free."""
        taken = 1
        while (aside := self._path.with_name(f"{self._path.name}.unreadable-{taken}")).exists():
            taken += 1
        for suffix in ("-wal", "-shm", ""):
            part = self._path.with_name(self._path.name + suffix)
            if part.exists():
                part.replace(aside.with_name(aside.name + suffix))
        log.warning("it is kept as %s", aside)

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=BUSY_S)

    def _prepare(self) -> None:
        with closing(self._connect()) as db, db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version > SCHEMA_VERSION:
                raise sqlite3.DatabaseError(f"it was written by a newer version ({version})")
            db.execute("PRAGMA journal_mode = WAL")
            db.execute(
                "CREATE TABLE IF NOT EXISTS samples (id INTEGER PRIMARY KEY, key TEXT NOT NULL, "
                "family TEXT NOT NULL, bucket TEXT NOT NULL, batch_size INTEGER NOT NULL, "
                "peak_mb REAL, elapsed_s REAL NOT NULL, outcome TEXT NOT NULL, free_mb REAL, "
                "steps INTEGER)"
            )
            db.execute("CREATE INDEX IF NOT EXISTS samples_by_key ON samples (key, id)")
            db.execute("CREATE INDEX IF NOT EXISTS samples_by_family ON samples (family, bucket)")
            db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
