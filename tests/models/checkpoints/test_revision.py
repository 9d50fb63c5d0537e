from __future__ import annotations

from pathlib import Path

import pytest

from backend.models.checkpoints.pull_record import PulledFile, PullRecord
from backend.models.checkpoints.revision import revision_of

COMMIT = "0123456789" * 4


def _record(root, path):
    root.mkdir(parents=True, exist_ok=True)
    PullRecord("m", "a/b", COMMIT, "2026", (PulledFile(path, 1, "x"),)).write(root)


def test_the_record_of_the_pull_tells(tmp_path):
    _record(tmp_path, "dit/config.yaml")
    assert revision_of(tmp_path / "dit") == COMMIT
    assert revision_of(tmp_path / "other") is None
    _record(tmp_path / "flat", "transformer/config.json")
    assert revision_of(tmp_path / "flat") == COMMIT


def test_the_cache_of_the_hub_names_its_snapshots(tmp_path):
    cache = Path("/c/models--a--b/snapshots")
    assert revision_of(cache / COMMIT / "dit") == COMMIT
    assert revision_of(cache / "main" / "dit") is None


@pytest.mark.parametrize("text", ["", "{}", "[]"])
def test_where_nobody_knows(tmp_path, text):
    assert revision_of(tmp_path) is None
    (tmp_path / "pulled.json").write_text(text)
    assert revision_of(tmp_path) is None
