"""What is there of every model with weights, as a document. Reads the disk."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backend.engines.speech_row import speech_row
from backend.jobs.model_shelf import ShelfDocument
from backend.models.checkpoints.acceptance import FILE_NAME, Acceptances
from backend.models.checkpoints.catalogue import Model, ModelKind
from backend.models.checkpoints.licences import Licence, licence_of
from backend.models.checkpoints.listing import ModelState, model_states
from backend.models.checkpoints.places import Places
from backend.settings import Settings
from backend.units import Clock, iso

NO_TORCH = "torch is not installed (pip install -r requirements-gpu.txt)"
NO_DIFFUSERS = "diffusers is not installed (pip install -r requirements-paint.txt)"
NO_WEIGHTS = "no weights of a model are here"
NO_PART_WEIGHTS = "its weights are not here"
INCOMPLETE = "the weights that are here are not complete"
NOT_ACCEPTED = "the licence of the models that are here has not been accepted"
PARTS = (ModelKind.SEGMENTATION, ModelKind.COMPLETION)


def shelf_document(
    settings: Settings, clock: Clock, environment: Mapping[str, str] | None = None
) -> ShelfDocument:
    """Look at the disk and write down what is there.

    Raises
    ------
    StartFailed
        The record of accepted licences cannot be read.
    """
    places = Places.of(settings, environment)
    states = model_states(places, Acceptances(places.own_folder, clock))
    return {
        "models": [_row(state) for state in states],
        "reason_unavailable": _reason(states, ModelKind.SHAPE, NO_WEIGHTS),
        "parts_unavailable": {kind.value: _reason(states, kind, NO_PART_WEIGHTS) for kind in PARTS},
        "texture_unavailable": _texture_reason(states),
        "speech": speech_row(settings),
        "looked_at": iso(clock.now()),
    }


def acceptances_file(settings: Settings) -> Path:
    """Return the record of accepted licences: when it changes, so does the document."""
    return Places.of(settings).own_folder / FILE_NAME


def _row(state: ModelState) -> dict[str, Any]:
    model = state.model
    return {
        "id": model.id,
        "title": model.title,
        "kind": model.kind.value,
        "repository": model.repository,
        "published_at": _published_at(model),
        "state": _condition(state),
        "missing": _missing(state),
        "needs": list(model.needs),
        "uses": list(model.uses),
        "unsupported": model.unsupported,
        "revision": state.revision,
        "size_bytes": state.size_bytes,
        "download_gb": model.download_gb,
        "views": model.views,
        "steps": model.steps,
        "guidance": model.guidance,
        "licence": _licence_row(licence_of(model.licence)),
        "accepted": state.is_accepted,
        "accepted_at": state.accepted_at,
        "pull_command": f"python -m backend models pull {model.id}",
    }


def _condition(state: ModelState) -> str:
    if state.model.unsupported is not None:
        return "unsupported"
    if state.found is None:
        return "absent"
    if not state.found.is_complete or state.lacking:
        return "incomplete"
    return "ready" if state.is_accepted else "licence_needed"


def _missing(state: ModelState) -> list[str]:
    """Return the files that a model lacks, and the models that it lacks."""
    files = state.found.missing if state.found else ()
    return [*files, *(f"the model {each}" for each in state.lacking if state.found)]


def _published_at(model: Model) -> str:
    """Return the address at which people can read about a model, without its beginning."""
    site = "github.com" if model.release else "huggingface.co"
    return f"{site}/{model.repository}"


def _licence_row(licence: Licence) -> dict[str, Any]:
    return {
        "id": licence.id.value,
        "title": licence.title,
        "points": list(licence.points),
        "needs_acceptance": licence.needs_acceptance,
    }


def _texture_reason(states: list[ModelState]) -> str | None:
    """Say why no model can paint; None when one can."""
    if importlib.util.find_spec("torch") and not importlib.util.find_spec("diffusers"):
        return NO_DIFFUSERS
    return _reason(states, ModelKind.TEXTURE, NO_WEIGHTS)


def _reason(states: list[ModelState], kind: ModelKind, nothing: str) -> str | None:
    """Say why no model of a kind can be run; None when one can."""
    conditions = {_condition(state) for state in states if state.model.kind is kind}
    if importlib.util.find_spec("torch") is None:
        return NO_TORCH
    if "ready" in conditions:
        return None
    if "licence_needed" in conditions:
        return NOT_ACCEPTED
    return INCOMPLETE if "incomplete" in conditions else nothing
