"""The page of the models with weights: which are here, their licences, how to get the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, redirect, render_template, request
from werkzeug.wrappers import Response

from backend.errors import FieldProblem, InvalidParameter
from backend.web.api.models import MODEL_IDS, accept_licence, models_document
from backend.web.pages.service import job_service
from backend.web.security import csrf_token

CHECKBOX = "accept"


@dataclass(frozen=True)
class LicenceGroup:
    """A licence, and the models under it.

    Parameters
    ----------
    licence : dict or None
        None while nobody tells which it is.
    accepted_at : str or None
        RFC 3339, UTC.
    """

    licence: dict[str, Any] | None
    models: list[dict[str, Any]]
    is_accepted: bool
    accepted_at: str | None


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
        "groups": licence_groups(document["items"]),
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
