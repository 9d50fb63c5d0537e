"""Lets a request in: by its key, or by the login of its browser.

Where no keys are in force everybody is let in, nothing is counted and nothing is looked up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote

from flask import Flask, Response, current_app, g, redirect, request

from backend.errors import RateLimited, Unauthorized
from backend.jobs.access.access import Access
from backend.jobs.access.api_key import ApiKey
from backend.jobs.access.used_keys import has_made_something
from backend.jobs.access.viewer import check_admin, current_key, is_restricted, work_for
from backend.jobs.service import ADMIN_PIPELINES, JobService
from backend.settings import Settings
from backend.units import Clock
from backend.web.access.caller_address import caller_address
from backend.web.access.rate_limits import FAILURES_PER_MIN, RateLimits, Standing
from backend.web.access.rules import (
    UNCOUNTED,
    RequestKind,
    is_open,
    kind_of_request,
    needs_admin,
)
from backend.web.problems import problem_response, wants_html

LOGIN_COOKIE = "mk_login"
LOGIN_PAGE = "/login"
# A page of the gallery is twenty-five requests.
PEOPLE_READ_MORE = 4
RECHECK_S = 10.0
MAX_DETAIL = 300
_SECRETS = frozenset({"csrf_token", "key"})


@dataclass
class Admission:
    """A key that was let in, and how it came: by header, or by the cookie of a login.

    ``look_again`` asks whether the same header or cookie still opens anything.
    """

    key: ApiKey
    by_cookie: bool
    checked_s: float
    look_again: Callable[[], ApiKey | None]

    def still_holds(self, clock: Clock) -> bool:
        """Whether the key is still good; looked up every ten seconds. Needs no request."""
        now_s = clock.monotonic_s()
        if now_s - self.checked_s >= RECHECK_S:
            if self.look_again() is None:
                return False
            self.checked_s = now_s
        return True


def install(app: Flask, settings: Settings) -> None:
    """Count what is let in, and write down what administrators do."""
    app.extensions["meshkiln.limits"] = RateLimits(settings.redis_url)

    @app.after_request
    def finish(response: Response) -> Response:
        _add_standing(response)
        _write_down(response)
        return response

    @app.teardown_request
    def leave(_error: BaseException | None) -> None:
        work_for(None)

    @app.context_processor
    def who() -> dict[str, object]:
        return {
            "logged_in_key": _logged_in_key,
            "may_change_server": lambda: not is_restricted(),
        }


def admit() -> Any:
    """Let the request in, or answer it.

    Returns
    -------
    Response or None
        None lets it in; a browser without a login is led to the page for it.

    Raises
    ------
    Unauthorized, AdminOnly, RateLimited
    """
    work_for(None)
    access = access_of_app()
    if not access.keys_in_force:
        return None
    admission = _authenticate(access)
    if admission is None:
        return _admit_stranger()
    g.admission = admission
    work_for(admission.key)
    access.keys.note_use(admission.key)
    _count(admission)
    if needs_admin():
        check_admin()
    return None


def check_pipeline(pipeline: str) -> None:
    """Raise AdminOnly, before any work, for a pipeline that this key may not run."""
    if pipeline in ADMIN_PIPELINES:
        check_admin()


def is_stranger() -> bool:
    """Whether keys are in force and the request came without one."""
    return access_of_app().keys_in_force and current_key() is None


def came_by_header() -> bool:
    """Whether the request showed its key itself, which no other site can make a browser do."""
    admission: Admission | None = g.get("admission")
    return admission is not None and not admission.by_cookie


def came_by_cookie() -> bool:
    """Whether the browser showed a login, which it does for every site that asks."""
    admission: Admission | None = g.get("admission")
    return admission is not None and admission.by_cookie


def watch_admission() -> Callable[[], bool]:
    """Return what tells whether the key of this long connection is still good.

    It may be asked after the request has ended, as a stream does while it is sent.
    """
    admission: Admission | None = g.get("admission")
    return partial(admission.still_holds, _service().clock) if admission else lambda: True


def count_items(count: int) -> None:
    """Count what a batch asks for, which is one submit whatever its size.

    A batch that is larger than the limit takes all of it, so that it can be sent at all.

    Raises
    ------
    RateLimited
    """
    admission: Admission | None = g.get("admission")
    if admission is None or count < 1:
        return
    per_min = _service().settings.batch_items_per_min
    caller = _caller(admission)
    standing = _limits().count("batch-items", caller, per_min, cost=min(count, per_min))
    if not standing.is_allowed:
        g.standing = standing
    _refuse_beyond(standing)


def count_failure() -> None:
    """Count a wrong key; raises RateLimited when a caller sends too many."""
    standing = _limits().count("failures", caller_address(request.remote_addr), FAILURES_PER_MIN)
    if not standing.is_allowed:
        raise RateLimited("Too many wrong keys.", retry_after_s=standing.reset_s)


def is_worth_noting() -> bool:
    """Whether another wrong key is written down: many callers together must not fill the disk."""
    return _limits().count("noted failures", "all", FAILURES_PER_MIN).is_allowed


def access_of_app() -> Access:
    """Return keys, logins and links of the running app."""
    return _service().access


def _service() -> JobService:
    service: JobService = current_app.extensions["meshkiln"]
    return service


def _limits() -> RateLimits:
    limits: RateLimits = current_app.extensions["meshkiln.limits"]
    return limits


def _authenticate(access: Access) -> Admission | None:
    """Look for a key in the header, else for a login in the cookie."""
    now_s = _service().clock.monotonic_s()
    header, cookie = request.authorization, request.cookies.get(LOGIN_COOKIE)
    shown = header.token if header is not None and header.type == "bearer" else None
    by_cookie = shown is None and cookie is not None
    look = partial(access.logins.find, str(cookie)) if by_cookie else partial(_find, access, shown)
    key = look()
    return Admission(key, by_cookie, now_s, look) if key else None


def _find(access: Access, secret: str | None) -> ApiKey | None:
    return access.keys.find(secret)


def _admit_stranger() -> Any:
    if is_open():
        if request.endpoint not in UNCOUNTED:
            settings = _service().settings
            _refuse_beyond(
                _limits().count(
                    "strangers", caller_address(request.remote_addr), settings.reads_per_min
                )
            )
        return None
    count_failure()
    if "HX-Request" in request.headers:
        response = problem_response(Unauthorized())
        response.headers["HX-Redirect"] = LOGIN_PAGE
        return response
    if wants_html():
        asked = request.full_path.rstrip("?") if request.method == "GET" else "/"
        return redirect(f"{LOGIN_PAGE}?next={quote(asked, safe='')}", 303)
    raise Unauthorized


def _count(admission: Admission) -> None:
    if request.endpoint in UNCOUNTED:
        return
    settings, key, limits = _service().settings, admission.key, _limits()
    kind = kind_of_request()
    if kind is RequestKind.SUBMIT and _is_replay():
        kind = RequestKind.READ
    if kind is RequestKind.SUBMIT:
        per_min = key.limits.submits_per_min or settings.submits_per_min
    else:
        per_min = key.limits.reads_per_min or settings.reads_per_min
        per_min *= PEOPLE_READ_MORE if admission.by_cookie else 1
    g.standing = limits.count(kind.value, _caller(admission), per_min)
    _refuse_beyond(g.standing)


def _caller(admission: Admission) -> str:
    return f"{admission.key.id}:{'browser' if admission.by_cookie else 'script'}"


def _is_replay() -> bool:
    """Whether a submit repeats one that was accepted, which costs the server little more."""
    service, name = _service(), request.headers.get("Idempotency-Key")
    return bool(name) and has_made_something(service.store.engine, service.clock, str(name))


def _refuse_beyond(standing: Standing) -> None:
    if not standing.is_allowed:
        raise RateLimited(
            f"More than {standing.per_min} {standing.name} a minute.",
            retry_after_s=standing.reset_s,
        )


def _add_standing(response: Response) -> None:
    standing: Standing | None = g.get("standing")
    if standing is not None:
        response.headers["RateLimit-Policy"] = standing.policy
        response.headers["RateLimit"] = standing.state


def _write_down(response: Response) -> None:
    """Write down a change that needed an administrator's key and was made."""
    if current_key() is None or response.status_code >= 400 or not needs_admin():
        return
    access_of_app().audit.record(
        str(request.endpoint),
        request.path,
        client=request.remote_addr,
        status=response.status_code,
        **_fields(),
    )


def _fields() -> dict[str, str]:
    """Return what was asked for: the fields of the form or of the JSON body."""
    body = request.get_json(silent=True) if request.is_json else request.form
    if not isinstance(body, dict):
        return {}
    kept = {name: value for name, value in body.items() if name not in _SECRETS}
    return {"fields": str(dict(kept))[:MAX_DETAIL]} if kept else {}


def _logged_in_key() -> ApiKey | None:
    """The key of the browser that is logged in, for the layout."""
    return current_key() if came_by_cookie() else None
