"""Whether a model with weights can be loaded here, and why not."""

from __future__ import annotations

import importlib.util

from backend.errors import MeshkilnError
from backend.models.checkpoints.acceptance import Acceptances
from backend.models.checkpoints.catalogue import Model, model_of
from backend.models.checkpoints.finding import find_model, require_model
from backend.models.checkpoints.opening import runnable_model
from backend.models.checkpoints.places import Places
from backend.settings import Settings
from backend.units import SystemClock

NO_TORCH = "torch is not installed (pip install -r requirements-gpu.txt)"
NO_WEIGHTS = "no weights are here; see 'python -m backend models list'"


def has_torch() -> bool:
    """Return whether networks can be run at all; torch is not imported for it."""
    return importlib.util.find_spec("torch") is not None


def why_not(model: Model, settings: Settings) -> MeshkilnError | None:
    """Return why a model cannot be loaded here, None when it can."""
    places = Places.of(settings)
    try:
        runnable_model(model.id)
        require_model(model, places)
        Acceptances(places.own_folder, SystemClock()).require(model)
    except MeshkilnError as error:
        return error
    return None


def unready_reason(model_id: str, settings: Settings) -> str | None:
    """Say in words why one model cannot be run here, and what helps; None when it can.

    Raises
    ------
    UnknownModel
    """
    if not has_torch():
        return NO_TORCH
    model = model_of(model_id)
    if find_model(model, Places.of(settings)) is None:
        return NO_WEIGHTS
    error = why_not(model, settings)
    return None if error is None else f"{error.detail} {error.advice}"
