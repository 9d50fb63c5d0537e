"""Who may talk to us: host names, origins, form tokens, response headers.

A server on loopback can be reached by every page the user opens. So the Host header must be one
of ours (against DNS rebinding), unsafe requests of other sites are refused, forms carry a token,
and our pages run no script but ours.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, current_app, g, request

from backend.errors import (
    CsrfFailed,
    ForbiddenOrigin,
    HostNotAllowed,
    InvalidParameter,
    NotFound,
)
from backend.settings import Settings
from backend.web.access.guard import admit, came_by_cookie, came_by_header
from backend.web.access.rules import SAFE_METHODS

CSRF_COOKIE = "mk_csrf"
CSRF_FIELD = "csrf_token"
CSRF_HEADER = "X-CSRF-Token"
API_ALIASES = frozenset({"/gpu/offload", "/gpu/release", "/gpu/preload"})
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
YEAR_S = 365 * 24 * 3600
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def install(app: Flask, settings: Settings) -> None:
    """Check every request and label every response."""
    hosts = LOOPBACK_NAMES | {name.lower() for name in settings.allowed_hosts} | {settings.host}
    any_address = settings.host in ("0.0.0.0", "::")  # noqa: S104  compared, not bound

    @app.before_request
    def check() -> Any:
        g.request_id = secrets.token_hex(8)
        _check_host(hosts, any_address)
        _check_text()
        is_safe = request.method in SAFE_METHODS
        if not is_safe:
            check_origin()
        answer = admit()
        if answer is None and not is_safe:
            _check_token()
        return answer

    @app.after_request
    def label(response: Response) -> Response:
        _add_headers(response)
        _set_cookie(response)
        return response

    @app.context_processor
    def tokens() -> dict[str, object]:
        return {"csrf_token": csrf_token, "csp_nonce": csp_nonce}


def csrf_token() -> str:
    """The token of this browser; made when it has none."""
    if "csrf_token" not in g:
        g.csrf_token = request.cookies.get(CSRF_COOKIE) or secrets.token_urlsafe(24)
    token: str = g.csrf_token
    return token


def csp_nonce() -> str:
    """The nonce of this response's inline import map."""
    if "csp_nonce" not in g:
        g.csp_nonce = secrets.token_urlsafe(16)
    nonce: str = g.csp_nonce
    return nonce


def check_origin() -> None:
    """Raise ForbiddenOrigin when another site's page sent the request."""
    origin = request.headers.get("Origin")
    if origin is not None and not _is_our_origin(origin):
        raise ForbiddenOrigin(f"The request comes from {origin[:100]!r}.")
    if request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site"):
        raise ForbiddenOrigin


def check_socket_origin() -> None:
    """Raise ForbiddenOrigin for a socket of another site.

    Browsers always name the origin of a socket; a cookie without one is not a browser of ours.
    """
    check_origin()
    if "Origin" not in request.headers and request.cookies:
        raise ForbiddenOrigin("A socket with cookies must name its origin.")


def _is_our_origin(origin: str) -> bool:
    """Compare with the Host header, port included; a proxy's name may be allowed explicitly."""
    try:
        parts = urlsplit(origin.lower())
        default = _DEFAULT_PORTS.get(parts.scheme)
        name = parts.hostname or ""
    except ValueError:
        return False
    if default is None:
        return False
    if parts.netloc.removesuffix(default) == request.host.lower().removesuffix(default):
        return True
    settings: Settings = current_app.extensions["meshkiln"].settings
    return name in {host.lower() for host in settings.allowed_hosts}


def _check_host(hosts: frozenset[str] | set[str], any_address: bool) -> None:
    try:
        name = (urlsplit(f"//{request.host}").hostname or "").lower()
    except ValueError:
        name = ""
    if name in hosts or (any_address and _is_address(name)):
        return
    raise HostNotAllowed(f"{name[:100]!r} is not a name of this server.")


def _check_text() -> None:
    """Refuse NUL, which no file system and not every database takes."""
    if "\0" in request.path:
        raise NotFound
    if any("\0" in part for pair in request.args.items(multi=True) for part in pair):
        raise InvalidParameter("A NUL is in the address.")


def _is_address(name: str) -> bool:
    """An address cannot be rebound, so any address of the machine is fine."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _check_token() -> None:
    """Browsers send a cookie or a form; both need the token. Scripts have neither."""
    if came_by_header():
        return
    cookie = request.cookies.get(CSRF_COOKIE)
    is_page = not request.path.startswith("/api/") and request.path not in API_ALIASES
    if cookie is None and not is_page and not came_by_cookie():
        return
    given = request.headers.get(CSRF_HEADER) or request.form.get(CSRF_FIELD, "")
    if cookie is None or not hmac.compare_digest(given.encode(), cookie.encode()):
        raise CsrfFailed


def _set_cookie(response: Response) -> None:
    if "csrf_token" in g and request.cookies.get(CSRF_COOKIE) != g.csrf_token:
        response.set_cookie(
            CSRF_COOKIE,
            g.csrf_token,
            max_age=YEAR_S,
            httponly=True,
            samesite="Lax",
            secure=request.is_secure,
        )


def _add_headers(response: Response) -> None:
    nonce = f" 'nonce-{g.csp_nonce}'" if "csp_nonce" in g else ""
    response.headers.setdefault(
        "Content-Security-Policy",
        "default-src 'self'; "
        f"script-src 'self' 'wasm-unsafe-eval'{nonce}; "
        "img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self' blob: data:; "
        "worker-src 'self' blob:; "
        "style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'",
    )
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Referrer-Policy", "same-origin")
    response.headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
    response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
    response.headers.setdefault("X-Request-Id", g.get("request_id", ""))
    if request.endpoint != "static":
        response.headers.setdefault("Cache-Control", "private, no-cache")
