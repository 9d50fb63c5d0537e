"""The stages inside a stored stage, read from its text once however often a page shows them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

# A page shows 200 runs of one kind of work.
KEPT_TEXTS = 1024


def inner_stages(stage: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the stages inside one; change nothing of them.

    Parameters
    ----------
    stage : mapping
        As ``RunStage.to_row`` writes it.
    """
    noted = stage.get("noted")
    return _read(noted) if noted else ()


@lru_cache(KEPT_TEXTS)
def _read(noted: str) -> Sequence[Mapping[str, Any]]:
    inner: Sequence[Mapping[str, Any]] = json.loads(noted).get("inner", ())
    return inner
