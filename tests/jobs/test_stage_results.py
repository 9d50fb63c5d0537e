"""What hosted programs made of uploads goes when uploads would."""

from __future__ import annotations

import os
import stat

from backend.jobs.retention import Retention
from backend.residency.guest.stage_cache import StageCache


def test_results_that_nothing_asked_for_go_with_the_uploads(service, clock):
    cache = StageCache(service.settings.stage_cache_dir, 1_000_000)
    used_at = {"aa": -1.1, "bb": -0.9}  # days; uploads are kept for one
    for key, days in used_at.items():
        assert cache.store(key, "what a voice said", 1.0)
        (path,) = service.settings.stage_cache_dir.glob(f"v*/{key}/*.entry")
        at_s = clock.now().timestamp() + days * 86_400
        os.utime(path, (at_s, at_s))
    Retention(service.settings, service.store, service.artefacts).sweep()
    assert cache.lookup("aa") is None
    assert cache.lookup("bb") is not None


def test_a_server_that_hosts_nothing_has_nothing_to_forget(service):
    Retention(service.settings, service.store, service.artefacts).sweep()
    assert not service.settings.stage_cache_dir.exists()


def test_only_the_server_reads_them(service):
    StageCache(service.settings.stage_cache_dir, 1_000_000).store("aa", "words", 1.0)
    assert stat.S_IMODE(service.settings.stage_cache_dir.stat().st_mode) == 0o700
