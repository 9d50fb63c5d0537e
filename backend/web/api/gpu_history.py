"""``/api/gpu/history``: what every device did in the last minutes."""

from __future__ import annotations

import math

from flask import Blueprint, Response, current_app, request

from backend.jobs.gpu_samples import LONGEST_WINDOW_S, WINDOW_S
from backend.web.access.own_samples import without_foreign_jobs
from backend.web.api.answers import json_answer, service_of
from backend.web.gpu_feed import read_history
from backend.web.json_body import wrong_field

blueprint = Blueprint("gpu_history", __name__)


@blueprint.get("/api/gpu/history")
def history() -> Response:
    """Tell the readings of the last seconds, a device each."""
    service = service_of(current_app.extensions)
    window_s = _window_s(request.args.get("window_s"))
    devices = read_history(service.looks.client, service.clock, window_s)
    return json_answer({"devices": without_foreign_jobs(service.store.engine, devices)})


def _window_s(text: str | None) -> float:
    if text is None:
        return WINDOW_S
    try:
        window_s = float(text)
    except ValueError:
        window_s = math.nan
    if not 0 < window_s <= LONGEST_WINDOW_S:
        raise wrong_field("window_s", f"must be a number of seconds up to {LONGEST_WINDOW_S:.0f}")
    return window_s
