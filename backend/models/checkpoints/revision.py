"""Which published revision a folder of a model holds, where that is known."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

from backend.errors import WeightsDamaged
from backend.models.checkpoints.pull_record import PullRecord, read_record

SNAPSHOTS = "snapshots"
_COMMIT = re.compile(r"[0-9a-f]{40}")


def revision_of(folder: Path) -> str | None:
    """Return the commit that a folder of a model was got from, None when nobody knows.

    Parameters
    ----------
    folder : Path
        Holds the description and the weights, as ``FoundModel.folder`` does.

    Returns
    -------
    str or None
        What the record of the pull says, or the name of the snapshot in the hub's cache.
    """
    for root in (folder, folder.parent):
        record = _record_in(root)
        if record is not None and any(
            (root / file.path).is_relative_to(folder) for file in record.files
        ):
            return record.revision
    return _snapshot(folder)


def _record_in(root: Path) -> PullRecord | None:
    try:
        return read_record(root)
    except WeightsDamaged:
        return None


def _snapshot(folder: Path) -> str | None:
    pairs = pairwise(folder.parts)
    names = [name for before, name in pairs if before == SNAPSHOTS and _COMMIT.fullmatch(name)]
    return names[-1] if names else None
