"""Lets a child process record that a licence is accepted: this process imports no models."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from backend.errors import InternalError, StorageFull
from backend.settings import Settings

TIMEOUT_S = 30.0
_ROOT = Path(__file__).parents[2]
_TAIL = 2000
_one_at_a_time = threading.Lock()

log = logging.getLogger(__name__)


def accept_in_child(model_id: str, settings: Settings) -> dict[str, Any]:
    """Record that the licence of a model is accepted, once for all models under it.

    Parameters
    ----------
    model_id : str
        A model of the catalogue.

    Returns
    -------
    dict
        ``id``, ``licence``, ``accepted`` and ``accepted_at``.

    Raises
    ------
    StorageFull, InternalError
        The record could not be written.
    """
    command = [
        sys.executable, "-m", "backend", "models", "accept", model_id,
        "--accept-licence", "--json", "--data-dir", str(settings.data_dir),
    ]  # fmt: skip
    try:
        with _one_at_a_time:
            ended = subprocess.run(
                command, cwd=_ROOT, capture_output=True, timeout=TIMEOUT_S, check=False,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise InternalError("Recording the licence takes too long.") from error
    errors = ended.stderr[-_TAIL:].decode("utf-8", "replace")
    if ended.returncode != 0:
        log.error("the licence of %s could not be recorded: %s", model_id, errors)
        if "No space left" in errors:
            raise StorageFull("The licence could not be recorded: the disk is full.")
        raise InternalError(
            "The licence could not be recorded.",
            advice=f"Run it by hand: python -m backend models accept {model_id}",
        )
    told = json.loads(ended.stdout)
    return {name: told[name] for name in ("id", "licence", "accepted", "accepted_at")}
