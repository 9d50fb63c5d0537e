"""``POST /api/performance/recommendations/<id>/apply|revert|dismiss``: advice put to the test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, current_app, make_response, render_template
from flask import request as http_request

from backend.errors import (
    AdviceOutdated,
    CsrfFailed,
    InvalidParameter,
    MalformedRequest,
    MeshkilnError,
    NotFound,
)
from backend.jobs.advice_book import recommendations_document
from backend.jobs.live_tuning import values_in_force
from backend.jobs.proposal import Proposal
from backend.jobs.service import JobService
from backend.jobs.tuning_table import StoredExperiment
from backend.profiling.advice.advice import QualityRisk
from backend.profiling.advice.rule_id import RuleId
from backend.web.api.answers import json_answer, service_of
from backend.web.json_body import body_object, wrong_field
from backend.web.problems import problem_document
from backend.web.security import CSRF_COOKIE

PAGE = "/performance"
FORM_TYPES = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})
_FIELDS = ("pipeline", "shape_key")
_RULES = frozenset(rule.value for rule in RuleId)

blueprint = Blueprint(
    "recommendation_actions", __name__, url_prefix="/api/performance/recommendations"
)


@dataclass(frozen=True)
class KindOfWork:
    """Which jobs the advice is about; None where the request did not say."""

    pipeline: str | None
    shape_key: str | None


Act = Callable[[JobService, str, KindOfWork], StoredExperiment]


@blueprint.post("/<advice_id>/apply")
def apply(advice_id: str) -> Response:
    """Begin to test advice on the next jobs of its kind."""
    return _answer(advice_id, apply_advice)


@blueprint.post("/<advice_id>/revert")
def revert(advice_id: str) -> Response:
    """Take a value back, on trial or confirmed; the identifier may be that of the trial."""
    return _answer(advice_id, revert_advice)


@blueprint.post("/<advice_id>/dismiss")
def dismiss(advice_id: str) -> Response:
    """Put advice away until its evidence changes by a fifth."""
    return _answer(advice_id, dismiss_advice)


def apply_advice(service: JobService, advice_id: str, work: KindOfWork) -> StoredExperiment:
    """Begin the trial of a piece of advice.

    Raises
    ------
    NotFound
        No rule gives advice of this name.
    AdviceOutdated
        Its evidence is gone, or its setting has changed since.
    InvalidParameter
        It cannot be tested while the server runs, or it may change results.
    ExperimentRunning
        Its setting is on trial already.
    """
    document, item = _find(service, advice_id, work)
    action = item["action"]
    if not action or not action["available"] or action["needs_restart"]:
        raise InvalidParameter(
            "This advice cannot be put to the test while the server runs.",
            advice="Its text says what a person can do about it.",
        )
    if item["quality_risk"] != QualityRisk.NONE:
        raise InvalidParameter(
            "This advice may change the result, so it is not applied to all jobs.",
            advice="Choose the value for single jobs, and look at both results.",
        )
    old = values_in_force(service, str(document["pipeline"]))[action["setting"]]
    if old != action["from"]:
        raise AdviceOutdated(f"{action['setting']} is {old} by now, not {action['from']}.")
    return service.tuning.apply(Proposal.from_document(item), old=old, **_work_of(document))


def dismiss_advice(service: JobService, advice_id: str, work: KindOfWork) -> StoredExperiment:
    """Put a piece of advice away; raises NotFound, AdviceOutdated."""
    document, item = _find(service, advice_id, work)
    old = (item["action"] or {}).get("from")
    return service.tuning.dismiss(Proposal.from_document(item), old=old, **_work_of(document))


def revert_advice(service: JobService, advice_id: str, work: KindOfWork) -> StoredExperiment:
    """Take a value back, of the named work only; raises NotFound, AdviceOutdated."""
    return service.tuning.revert(advice_id, work.pipeline, work.shape_key)


def _find(
    service: JobService, advice_id: str, work: KindOfWork
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    document = recommendations_document(service, work.pipeline, work.shape_key)
    for item in document["items"]:
        if item["id"] == advice_id:
            return document, item
    if advice_id.partition(".")[0] in _RULES:
        raise AdviceOutdated("The last runs do not support this advice any more.")
    raise NotFound(
        "There is no such advice.",
        advice="GET /api/performance/recommendations lists the advice by id.",
    )


def _work_of(document: Mapping[str, Any]) -> dict[str, str]:
    """Name the kind of work the advice was made for, which the request may have left open."""
    return {name: str(document[name]) for name in _FIELDS}


def _answer(advice_id: str, act: Act) -> Response:
    """Do it and answer with JSON, or lead a form back to its page."""
    service = service_of(current_app.extensions)
    if http_request.mimetype not in FORM_TYPES:
        work = _kind_of_work(body_object(http_request, frozenset(_FIELDS)))
        return json_answer({"experiment": act(service, advice_id, work).to_document()})
    if CSRF_COOKIE not in http_request.cookies:  # only a page of ours sends forms here
        raise CsrfFailed
    work = _kind_of_work(http_request.form)
    try:
        act(service, advice_id, work)
    except MeshkilnError as error:
        return _page_of(error)
    return _back_to_page(work)


def _kind_of_work(fields: Mapping[str, Any]) -> KindOfWork:
    for name in _FIELDS:
        if not isinstance(fields.get(name), str | None):
            raise wrong_field(name, "must be text")
    work = KindOfWork(fields.get("pipeline") or None, fields.get("shape_key") or None)
    if (work.pipeline is None) != (work.shape_key is None):
        raise MalformedRequest(
            "Of pipeline and shape_key only one was given.",
            advice="Name both, or neither for the work that is used most.",
        )
    return work


def _page_of(error: MeshkilnError) -> Response:
    problem = problem_document(error)
    response = make_response(render_template("pages/problem.html", problem=problem))
    response.status_code = error.http_status
    return response


def _back_to_page(work: KindOfWork) -> Response:
    named = {"pipeline": work.pipeline, "shape": work.shape_key}
    query = urlencode({name: text for name, text in named.items() if text})
    return Response(status=303, headers={"Location": f"{PAGE}?{query}" if query else PAGE})
