"""The page of the models with weights: which are here, their licences, how to get the others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from flask import Blueprint, redirect, render_template, request
from werkzeug.wrappers import Response

from backend.errors import FieldProblem, InvalidParameter
from backend.web.api.models import MODEL_IDS, accept_licence, models_document
from backend.web.pages.service import job_service
from backend.web.security import csrf_token

CHECKBOX = "accept"
KIND_TITLES = {
    "shape": "Shapes from pictures",
    "segmentation": "Parts of a mesh",
    "completion": "Parts made whole",
    "texture": "Textures",
    "companion": "What the models of textures take along",
}


@dataclass(frozen=True)
class KindSection:
    """What models are for, and the licences of those models."""

    kind: str
    title: str
    groups: list[LicenceGroup]


@dataclass(frozen=True)
class LicenceGroup:
    """A licence, and the models under it.

    Parameters
    ----------
    licence : dict or None
        None while nobody tells which it is.
    accepted_at : str or None
        RFC 3339, UTC.
    is_shown_before : bool
        Models for another purpose, higher up on the page, are under it too.
    """

    licence: dict[str, Any] | None
    models: list[dict[str, Any]]
    is_accepted: bool
    accepted_at: str | None
    is_shown_before: bool = False


def install(blueprint: Blueprint) -> None:
    """Add the routes."""
    blueprint.add_url_rule("/models", endpoint="models", view_func=show)
    blueprint.add_url_rule("/models/list", endpoint="models_list", view_func=show_list)
    blueprint.add_url_rule(
        "/models/<model_id>/accept", endpoint="accept_licence", view_func=accept, methods=["POST"]
    )


def show() -> str:
    """Show the page; the address may name a model whose licence was accepted just now."""
    return render_template("pages/models.html", **_view())


def show_list() -> str:
    """The list alone, for a page that waits for news of it."""
    return render_template("fragments/models_list.html", **_view())


def _view() -> dict[str, Any]:
    document = models_document(job_service())
    named = request.args.get("accepted")
    accepted = named if named in MODEL_IDS else None
    waits = [m for m in document["items"] if m["id"] == accepted and not m["accepted"]]
    return {
        "sections": kind_sections(document["items"]),
        "reason": document["reason_unavailable"],
        "looked_at": document["looked_at"],
        "accepted": accepted,
        "is_pending": document["looked_at"] is None or bool(waits),
        "csrf": csrf_token(),
    }


def accept(model_id: str) -> Response:
    """Take the form that accepts a licence."""
    if request.form.get(CHECKBOX) != "yes":
        problem = FieldProblem(f"/{CHECKBOX}", "must be checked")
        raise InvalidParameter(
            "The licence was not accepted.",
            advice="Go back, read it, and check the box if you accept it.",
            fields=(problem,),
        )
    accept_licence(job_service(), model_id)
    return redirect(f"/models?accepted={model_id}", 303)


def kind_sections(models: list[dict[str, Any]]) -> list[KindSection]:
    """Put models for the same purpose together; purposes without a model are left out."""
    sections: list[KindSection] = []
    shown: set[str] = set()
    for kind, title in KIND_TITLES.items():
        groups = licence_groups([model for model in models if model["kind"] == kind])
        marked = [replace(group, is_shown_before=_licence_id(group) in shown) for group in groups]
        shown.update(_licence_id(group) for group in groups if group.licence)
        if marked:
            sections.append(KindSection(kind, title, marked))
    return sections


def _licence_id(group: LicenceGroup) -> str:
    return str(group.licence["id"]) if group.licence else ""


def licence_groups(models: list[dict[str, Any]]) -> list[LicenceGroup]:
    """Put models under the same licence together, in the order of the first of each."""
    by_licence: dict[str | None, list[dict[str, Any]]] = {}
    for model in models:
        licence = model["licence"]
        by_licence.setdefault(licence and licence["id"], []).append(model)
    return [
        LicenceGroup(each[0]["licence"], each, bool(each[0]["accepted"]), each[0]["accepted_at"])
        for each in by_licence.values()
    ]
