"""``/api/v1/jobs/<id>/picks``: which part is at a point of the mesh of a job."""

from __future__ import annotations

from flask import Blueprint, Response, current_app, request

from backend.catalog import MAX_PLACE
from backend.jobs.parts import picking
from backend.profiling.recorder import continue_from
from backend.web.api.answers import job_answer, service_of
from backend.web.json_body import body_object, wrong_field

POINT = "point"
AXES = 3

blueprint = Blueprint("part_picks", __name__, url_prefix="/api/v1/jobs/<job_id>/picks")


@blueprint.post("")
def ask(job_id: str) -> Response:
    """Accept a point; the answer is a job whose ``pick.json`` tells the parts it may be in."""
    place = _place(body_object(request, frozenset({POINT})).get(POINT))
    with continue_from(request.headers):
        job, is_new, warnings = picking.ask(service_of(current_app.extensions), job_id, place)
    return job_answer(job, 202 if is_new else 200, warnings)


def _place(given: object) -> list[float]:
    """Read three numbers; raises InvalidParameter."""
    if not isinstance(given, list) or len(given) != AXES:
        raise wrong_field(POINT, "must be a list of three numbers")
    if not all(_is_place(value) for value in given):
        raise wrong_field(POINT, f"must be three numbers from -{MAX_PLACE:g} to {MAX_PLACE:g}")
    return [float(value) for value in given]


def _is_place(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= MAX_PLACE
