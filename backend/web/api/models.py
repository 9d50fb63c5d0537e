"""``/api/v1/models``: which models with weights are here, and accepting their licences."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, current_app, request

from backend.catalog import ShapeModel
from backend.choices import TextureModel
from backend.errors import FieldProblem, InvalidParameter, UnknownModel
from backend.jobs.model_shelf import read_shelf
from backend.jobs.service import JobService
from backend.web.api.answers import json_answer, service_of
from backend.web.json_body import body_object
from backend.web.licence_child import accept_in_child

UNKNOWN = "unknown"
NO_WORKER = "No worker has looked at the models within the last minute."
# What each model is for; the catalogue itself must not be imported here.
KIND_OF = {
    **{model.value: "shape" for model in ShapeModel if model is not ShapeModel.AUTO},
    "p3-sam": "segmentation",
    "x-part": "completion",
    **{model.value: "texture" for model in TextureModel if model is not TextureModel.AUTO},
    "hunyuan3d-delight-2.0": "companion",
    "dinov2-giant": "companion",
    "realesrgan-x4plus": "companion",
}
MODEL_IDS = tuple(KIND_OF)
PART_KINDS = ("segmentation", "completion")

blueprint = Blueprint("models", __name__, url_prefix="/api/v1/models")


@blueprint.get("")
def index() -> Response:
    """List every model with what is there of it; unknown is null."""
    return json_answer(models_document(service_of(current_app.extensions)))


@blueprint.post("/<model_id>/accept")
def accept(model_id: str) -> Response:
    """Record that the licence of a model is accepted."""
    body = body_object(request, frozenset({"accept"}))
    if body.get("accept") is not True:
        problem = FieldProblem("/accept", "must be true")
        raise InvalidParameter(
            "accept: must be true.",
            advice='Read the licence, then send {"accept": true}.',
            fields=(problem,),
        )
    return json_answer(accept_licence(service_of(current_app.extensions), model_id))


def models_document(service: JobService) -> dict[str, Any]:
    """Return what the worker says of the models, or only their names when none does.

    Returns
    -------
    dict
        ``items``, ``reason_unavailable``, ``parts_unavailable``, ``texture_unavailable`` and
        ``looked_at``; see the schema ``Models``.
    """
    shelf = read_shelf(service.looks.client)
    if shelf is None:
        items = [_unknown(model_id) for model_id in MODEL_IDS]
        return {
            "items": items,
            "reason_unavailable": NO_WORKER,
            "parts_unavailable": dict.fromkeys(PART_KINDS, NO_WORKER),
            "texture_unavailable": NO_WORKER,
            "looked_at": None,
        }
    return {
        "items": shelf["models"],
        "reason_unavailable": shelf["reason_unavailable"],
        "parts_unavailable": shelf["parts_unavailable"],
        "texture_unavailable": shelf["texture_unavailable"],
        "looked_at": shelf["looked_at"],
    }


def accept_licence(service: JobService, model_id: str) -> dict[str, Any]:
    """Record it, and who did it; raises UnknownModel, StorageFull, InternalError."""
    if model_id not in MODEL_IDS:
        raise UnknownModel(
            f"There is no model {model_id[:60]!r}.", advice="GET /api/v1/models lists them."
        )
    accepted = accept_in_child(model_id, service.settings)
    service.access.audit.record(
        "licence.accepted", model_id, client=request.remote_addr, licence=accepted["licence"]
    )
    return accepted


def _unknown(model_id: str) -> dict[str, Any]:
    """Return a row in which nothing is claimed."""
    known = {
        "id": model_id,
        "title": model_id,
        "kind": KIND_OF[model_id],
        "state": UNKNOWN,
        "missing": [],
        "needs": [],
        "uses": [],
        "pull_command": f"python -m backend models pull {model_id}",
    }
    unknown = (
        "repository", "published_at", "unsupported", "revision", "size_bytes", "download_gb",
        "views", "steps", "guidance", "licence", "accepted", "accepted_at",
    )  # fmt: skip
    return known | dict.fromkeys(unknown)
