"""Files of jobs: in a local folder, or in a store that several machines share."""

from __future__ import annotations

from backend.jobs.artefacts.local_store import ArtefactStore
from backend.jobs.artefacts.made_file import MadeFile, sha256_of
from backend.jobs.artefacts.opening import open_artefacts

__all__ = ["ArtefactStore", "MadeFile", "open_artefacts", "sha256_of"]
