"""The panel that has the next job profiled in depth; a form, so that it works without a script."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, make_response, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from backend.catalog import PIPELINES
from backend.errors import MeshkilnError
from backend.web.api.deep_profiles import deep_document
from backend.web.pages.service import job_service

PANEL = "/performance#deep-title"
ADDRESS = "/performance/deep-profile"


def install(blueprint: Blueprint) -> None:
    """Add the routes, and what the panel shows on any page that has it."""
    blueprint.add_url_rule(ADDRESS, endpoint="deep_profile", view_func=live)
    blueprint.add_url_rule(
        ADDRESS, endpoint="change_deep_profile", view_func=change, methods=["POST"]
    )
    blueprint.app_context_processor(lambda: {"deep_profile": deep_view})


def live() -> str:
    """The part of the panel that moves."""
    return render_template("fragments/perf_deep_live.html")


def change() -> AnyResponse | str:
    """Order a profile, or take the order back."""
    by_script = "HX-Request" in request.headers
    try:
        if request.form.get("action") == "disarm":
            job_service().deep_profiles.disarm()
        else:
            job_service().deep_profiles.arm(request.form.get("pipeline") or None)
    except MeshkilnError as error:
        if not by_script:
            raise  # shown as a page, with the advice
        return _refusal(error)
    return render_template("fragments/perf_deep_panel.html") if by_script else redirect(PANEL, 303)


def deep_view() -> dict[str, Any]:
    """Read what the panel shows."""
    pipelines = [{"name": name.value, "title": spec.title} for name, spec in PIPELINES.items()]
    titles = {pipeline["name"]: pipeline["title"] for pipeline in pipelines}
    return deep_document(job_service()) | {"pipelines": pipelines, "titles": titles}


def _refusal(error: MeshkilnError) -> Response:
    """Say why not beside the button, and leave the panel to the next look at the state."""
    text = render_template("fragments/perf_deep_refused.html", error=error)
    response = make_response(text, error.http_status)
    response.headers["HX-Retarget"] = "#deep-message"
    response.headers["HX-Reswap"] = "innerHTML"
    return response
