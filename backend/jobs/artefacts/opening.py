"""Which store the settings ask for."""

from __future__ import annotations

import os

from backend.jobs.artefacts.local_store import ArtefactStore
from backend.settings import Settings

WORKER_VARIABLE = "MESHKILN_WORKER_QUEUE"  # set in worker processes only
WORKER_PATIENCE_S = 60.0


def open_artefacts(settings: Settings) -> ArtefactStore:
    """Open the folder of this machine, or with ``store_url`` the store that machines share.

    A worker waits for a store that does not answer, rather than fail one job after the other;
    whoever answers a request does not.

    Raises
    ------
    StartFailed
        The address cannot be used, or what it needs is not installed.
    """
    if not settings.store_url:
        return ArtefactStore(settings.artefact_dir, settings.disk_floor_mb)
    from backend.jobs.artefacts.remote_folder import open_remote_folder
    from backend.jobs.artefacts.shared_store import SharedArtefacts

    patience_s = WORKER_PATIENCE_S if os.environ.get(WORKER_VARIABLE) else 0.0
    return SharedArtefacts(
        settings.artefact_dir,
        open_remote_folder(settings.store_url, patience_s),
        disk_floor_mb=settings.disk_floor_mb,
        cache_gb=settings.cache_gb,
        idle_s=settings.job_timeout_s + 3600,
    )
