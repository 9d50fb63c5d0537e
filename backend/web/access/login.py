"""``/login`` and ``/logout``: a browser shows a key once and gets a cookie for it."""

from __future__ import annotations

from flask import Blueprint, Response, make_response, redirect, render_template, request

from backend.jobs.access.api_key import ApiKey
from backend.jobs.access.audit_log import NO_KEY
from backend.jobs.access.logins import LASTS
from backend.web.access.guard import (
    LOGIN_COOKIE,
    LOGIN_PAGE,
    access_of_app,
    count_failure,
    is_worth_noting,
)

HOME = "/"
MAX_ADDRESS = 2000

blueprint = Blueprint("login", __name__)


@blueprint.get(LOGIN_PAGE)
def show() -> Response:
    """Show the form, or the first page where no keys are in force."""
    if not access_of_app().keys_in_force:
        return _lead_to(HOME)
    return make_response(_page(request.args.get("next", "")))


@blueprint.post(LOGIN_PAGE)
def log_in() -> Response:
    """Take a key: right leads on with a cookie, wrong shows the form again."""
    access = access_of_app()
    wanted = request.form.get("next", "")
    key = access.keys.find(request.form.get("key", "").strip())
    if key is None:
        count_failure()
        if is_worth_noting():
            access.audit.record(
                "login.failed", LOGIN_PAGE, actor=NO_KEY, client=request.remote_addr
            )
        return make_response(_page(wanted, is_wrong=True), 401)
    access.audit.record("login", key.name, actor=_named(key), client=request.remote_addr)
    access.logins.end(request.cookies.get(LOGIN_COOKIE, ""))  # one browser, one login
    response = _lead_to(local_address(wanted))
    response.set_cookie(
        LOGIN_COOKIE,
        access.logins.begin(key),
        max_age=int(LASTS.total_seconds()),
        httponly=True,
        samesite="Lax",
        secure=request.is_secure,
    )
    return response


@blueprint.post("/logout")
def log_out() -> Response:
    """End the login of this browser, here and there."""
    token = request.cookies.get(LOGIN_COOKIE)
    if token:
        access_of_app().logins.end(token)
    response = _lead_to(LOGIN_PAGE)
    response.delete_cookie(LOGIN_COOKIE, httponly=True, samesite="Lax", secure=request.is_secure)
    return response


def local_address(text: str) -> str:
    """Return an address of this server as given, and the first page for any other.

    >>> local_address("/gallery?q=chair"), local_address("//evil.example/")
    ('/gallery?q=chair', '/')
    """
    is_ours = text.startswith("/") and not text.startswith(("//", "/\\")) and "\\" not in text
    plain = text.isprintable() and len(text) <= MAX_ADDRESS
    return text if is_ours and plain and not text.startswith(LOGIN_PAGE) else HOME


def _page(wanted: str, *, is_wrong: bool = False) -> str:
    return render_template("pages/login.html", next=local_address(wanted), is_wrong=is_wrong)


def _lead_to(address: str) -> Response:
    return make_response(redirect(address, 303))


def _named(key: ApiKey) -> str:
    return f"{key.name} ({key.prefix})"
