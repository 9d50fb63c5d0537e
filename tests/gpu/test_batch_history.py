from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from backend.gpu.batch_history import ROWS_PER_KEY, BatchHistory, BatchKey
from backend.gpu.peak_model import BatchOutcome, BatchSample

KEY = BatchKey("Card", "model", "shape", "512x512")
SAMPLE = BatchSample(2, 1.5, 3000.0, 9000.0, BatchOutcome.OK, 50)


def test_samples_come_back_by_key_and_in_order(tmp_path):
    history = BatchHistory(tmp_path / "gpu.sqlite3")
    failed = replace(SAMPLE, outcome=BatchOutcome.OUT_OF_MEMORY, peak_mb=None)
    history.record(KEY, SAMPLE)
    history.record(KEY, failed)
    history.record(replace(KEY, precision="fp16"), SAMPLE)
    assert BatchHistory(tmp_path / "gpu.sqlite3").samples(KEY) == [SAMPLE, failed]


def test_other_resolutions_of_the_same_stage_are_found(tmp_path):
    history = BatchHistory(tmp_path / "gpu.sqlite3")
    other = replace(KEY, bucket="1024x1024")
    history.record(other, SAMPLE)
    history.record(replace(other, model="another"), SAMPLE)
    assert history.other_buckets(KEY) == {"1024x1024": [SAMPLE]}


def test_the_oldest_rows_of_a_key_go_and_others_stay(tmp_path):
    history = BatchHistory(tmp_path / "gpu.sqlite3")
    other = replace(KEY, stage="texture")
    history.record(other, SAMPLE)
    for size in range(1, ROWS_PER_KEY + 6):
        history.record(KEY, replace(SAMPLE, batch_size=size))
    sizes = [sample.batch_size for sample in history.samples(KEY)]
    assert sizes == list(range(6, ROWS_PER_KEY + 6))
    assert len(history.samples(other)) == 1


def test_two_writers_lose_nothing(tmp_path):
    path = tmp_path / "gpu.sqlite3"
    writers = [BatchHistory(path), BatchHistory(path)]
    with ThreadPoolExecutor(4) as pool:
        list(
            pool.map(lambda n: writers[n % 2].record(KEY, replace(SAMPLE, batch_size=n)), range(60))
        )
    assert sorted(s.batch_size for s in writers[0].samples(KEY)) == list(range(60))


def test_a_damaged_or_newer_file_is_kept_aside(tmp_path):
    path = tmp_path / "gpu.sqlite3"
    path.write_bytes(b"this is no database" * 100)
    BatchHistory(path).record(KEY, SAMPLE)
    assert (tmp_path / "gpu.sqlite3.unreadable-1").read_bytes().startswith(b"this is no")
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    assert BatchHistory(path).samples(KEY) == []
    assert (tmp_path / "gpu.sqlite3.unreadable-2").exists()


def test_a_locked_file_is_not_a_damaged_one(tmp_path, monkeypatch):
    path = tmp_path / "gpu.sqlite3"
    BatchHistory(path).record(KEY, SAMPLE)
    monkeypatch.setattr("backend.gpu.batch_history.BUSY_S", 0.05)
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            BatchHistory(path)
    other.close()
    assert BatchHistory(path).samples(KEY) == [SAMPLE]
