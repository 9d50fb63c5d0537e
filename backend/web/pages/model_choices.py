"""What the form says of engines and models: which can be chosen here, and why the others cannot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from backend.catalog import ShapeEngine, ShapeModel
from backend.web.pages.parameter_form import FormField, FormGroup

STATE_WORDS = {
    "ready": "ready",
    "licence_needed": "accept its licence first",
    "incomplete": "incomplete",
    "absent": "not here",
    "unsupported": "not supported yet",
}
ENGINE_WORDS = {
    ShapeEngine.AUTO.value: "auto",
    ShapeEngine.HUNYUAN3D.value: "hunyuan3d (networks)",
    ShapeEngine.INFLATE.value: "inflate (built in)",
}
LABELS = {"engine": "Engine", "model": "Model", "steps": "Steps", "guidance": "Guidance"}
HELP = {
    "engine": "hunyuan3d runs networks and needs the weights of a model; inflate blows the "
    "outline up and needs nothing. Auto takes a network if one is ready.",
    "model": "For hunyuan3d. Auto takes the best that is here for the preset.",
    "steps": "For hunyuan3d: from noise to shape. More take longer and add detail up to a point; "
    "turbo models need about 5, the others 30 to 50.",
    "guidance": "For hunyuan3d: how strictly it follows the picture. Models were made for 5 to 7.",
    "decoder": "For hunyuan3d: flash compares each point with the nearest part of the shape only, "
    "which is faster and gives a slightly different surface.",
    "shape_mode": "For inflate: round, turned around an axis (lathe), or flat (slab).",
}
SEVERAL = 2


def with_models(groups: list[FormGroup], document: dict[str, Any]) -> list[FormGroup]:
    """Explain the fields of engine and model by what is here.

    Parameters
    ----------
    document : dict
        As ``GET /api/v1/models`` answers.
    """
    for group in groups:
        group.fields = [_explained(field, document) for field in group.fields]
    return groups


def takes_views(document: dict[str, Any]) -> bool | None:
    """Say whether a model of several views is ready; None while nobody tells."""
    if document["looked_at"] is None:
        return None
    several = [m for m in document["items"] if (m["views"] or 1) >= SEVERAL]
    return any(model["state"] == "ready" for model in several)


def _explained(field: FormField, document: dict[str, Any]) -> FormField:
    labelled = replace(
        field, label=LABELS.get(field.name, field.label), help=HELP.get(field.name, field.help)
    )
    if field.name == "engine":
        return _engine_field(labelled, document)
    if field.name == "model":
        return model_field(labelled, document)
    return labelled


def _engine_field(field: FormField, document: dict[str, Any]) -> FormField:
    reason = document["reason_unavailable"] if document["looked_at"] else None
    if reason is None:
        return replace(field, words=ENGINE_WORDS)
    name = ShapeEngine.HUNYUAN3D.value
    words = ENGINE_WORDS | {name: f"{ENGINE_WORDS[name]}: not available"}
    return replace(
        field, words=words, disabled=_all_but({name}, field.value), hint=f"hunyuan3d: {reason}."
    )


def model_field(field: FormField, document: Mapping[str, Any], kind: str = "shape") -> FormField:
    """Say of the models of a kind which are ready; the others cannot be chosen."""
    known = {model["id"]: model for model in document["items"] if model["kind"] == kind}
    words = {
        model_id: _option(model) if model["state"] in STATE_WORDS else model["title"]
        for model_id, model in known.items()
    }
    if document["looked_at"] is None:
        return replace(field, words=words)
    not_ready = {name for name, model in known.items() if model["state"] != "ready"}
    hint = "Those that are not ready cannot be chosen." if not_ready else ""
    auto = {ShapeModel.AUTO.value: "auto"}
    return replace(field, words=words | auto, disabled=_all_but(not_ready, field.value), hint=hint)


def _option(model: dict[str, Any]) -> str:
    return f"{model['title']} ({STATE_WORDS[model['state']]})"


def _all_but(names: set[str], chosen: Any) -> frozenset[str]:
    """Leave what was chosen before as it is: a browser would not send a choice that is disabled."""
    return frozenset(names - {chosen})
