"""When what hosted programs made of uploads is forgotten: as soon as the uploads themselves."""

from __future__ import annotations

import contextlib
from datetime import datetime, timedelta

from backend.settings import Settings

ENTRIES = "v*/*/*"  # see backend.residency.guest.stage_cache


def forget_unused_results(settings: Settings, now: datetime) -> None:
    """Remove results of stages that nothing asked for in ``keep_uploads_days``.

    They are named by the content of what they were made of, so that nobody knows whose they are,
    and jobs of several people may need one.
    """
    limit = (now - timedelta(days=settings.keep_uploads_days)).timestamp()
    for path in settings.stage_cache_dir.glob(ENTRIES):
        with contextlib.suppress(OSError):  # another process has just removed it
            if path.stat().st_mtime < limit:
                path.unlink()
