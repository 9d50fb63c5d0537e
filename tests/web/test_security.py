from __future__ import annotations

import re

from flask import render_template_string


def page(server):
    @server.app.get("/test-page")
    def show():
        return render_template_string("{{ csrf_token() }} {{ csrf_token() }} {{ csp_nonce() }}")

    return lambda **headers: server.client.get("/test-page", headers=headers)


def test_the_token_comes_with_a_strict_cookie_that_scripts_cannot_read(server):
    answer = page(server)()
    first, second, _ = answer.text.split()
    assert first == second
    assert len(first) >= 32
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith(f"mk_csrf={first};")
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


def test_a_known_browser_keeps_its_token(server):
    get = page(server)
    token = get().text.split()[0]
    again = get()
    assert again.text.split()[0] == token
    assert "Set-Cookie" not in again.headers


def test_each_answer_has_its_own_nonce_in_its_policy(server):
    get = page(server)
    nonces = set()
    for _ in range(2):
        answer = get()
        nonce = answer.text.split()[2]
        assert f"'nonce-{nonce}'" in answer.headers["Content-Security-Policy"]
        nonces.add(nonce)
    assert len(nonces) == 2
    plain = server.client.get("/healthz").headers["Content-Security-Policy"]
    assert "nonce" not in plain


def test_the_policy(server):
    policy = server.client.get("/healthz").headers["Content-Security-Policy"]
    directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert directives == {
        "default-src": "'self'",
        "script-src": "'self' 'wasm-unsafe-eval'",
        "img-src": "'self' blob: data:",
        "media-src": "'self' blob:",
        "connect-src": "'self' blob: data:",
        "worker-src": "'self' blob:",
        "style-src": "'self' 'unsafe-inline'",
        "object-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }


def test_every_problem_names_its_request(server):
    answer = server.client.get("/api/v1/jobs/x")
    assert re.fullmatch("[0-9a-f]{16}", answer.json["request_id"])
    assert answer.json["request_id"] == answer.headers["X-Request-Id"]
