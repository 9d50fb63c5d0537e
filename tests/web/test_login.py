from __future__ import annotations

import pytest

from backend.web.access.login import local_address
from tests.web.keyed import Caller, csrf_of, logged_in

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def keyed(make_server):
    return make_server(require_key=True)


@pytest.fixture
def ann(keyed):
    return Caller(keyed, "ann")


def test_a_browser_is_led_to_the_login_and_back(keyed, ann):
    browser = keyed.app.test_client()
    answer = browser.get("/gallery?q=red chair", headers=HTML)
    assert answer.status_code == 303
    assert answer.headers["Location"] == "/login?next=%2Fgallery%3Fq%3Dred%20chair"
    page = browser.get(answer.headers["Location"], headers=HTML)
    assert 'value="/gallery?q=red chair"' in page.text
    data = {"key": f" {ann.secret}\n", "csrf_token": csrf_of(browser), "next": "/gallery?q=red"}
    answer = browser.post("/login", data=data)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/gallery?q=red")
    page = browser.get("/gallery", headers=HTML)
    assert page.status_code == 200
    assert "Log out" in page.text
    assert "ann" in page.text


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(keyed, ann):
    browser = keyed.app.test_client()
    data = {"key": ann.secret, "csrf_token": csrf_of(browser)}
    plain = browser.post("/login", data=data).headers["Set-Cookie"]
    assert plain.startswith("mk_login=")
    assert "HttpOnly" in plain
    assert "SameSite=Lax" in plain
    assert "Secure" not in plain
    assert ann.secret not in plain
    data["csrf_token"] = csrf_of(browser)
    safe = browser.post("/login", data=data, base_url="https://localhost", headers={
        "Cookie": f"mk_csrf={data['csrf_token']}"})  # fmt: skip
    assert "Secure" in safe.headers["Set-Cookie"]


def test_a_wrong_key_is_said_on_the_page_and_written_down(keyed, ann):
    browser = keyed.app.test_client()
    data = {"key": "mk_" + "a" * 43, "csrf_token": csrf_of(browser), "next": "/gallery"}
    answer = browser.post("/login", data=data, headers=HTML)
    assert answer.status_code == 401
    assert "wrong, has expired or was revoked" in answer.text
    assert 'value="/gallery"' in answer.text
    assert data["key"] not in answer.text
    assert browser.get_cookie("mk_login") is None
    (entry,) = keyed.service.access.audit.entries()
    assert entry.action == "login.failed"
    assert data["key"] not in str(entry)


def test_guessing_is_slowed_down(keyed):
    browser = keyed.app.test_client()
    data = {"key": "guess", "csrf_token": csrf_of(browser)}
    codes = [browser.post("/login", data=data).status_code for _ in range(32)]
    assert codes == [401] * 30 + [429] * 2
    assert len(keyed.service.access.audit.entries()) == 30


def test_a_login_of_another_site_is_refused(keyed, ann):
    browser = keyed.app.test_client()
    data = {"key": ann.secret}
    assert browser.post("/login", data=data).status_code == 403
    data["csrf_token"] = csrf_of(browser)
    evil = {"Origin": "http://evil.example"}
    assert browser.post("/login", data=data, headers=evil).status_code == 403


def test_logging_out_ends_the_login_on_the_server_too(keyed, ann):
    browser, token = logged_in(keyed, ann.secret)
    cookie = browser.get_cookie("mk_login").value
    assert browser.get("/api/v1/jobs").status_code == 200
    answer = browser.post("/logout", data={"csrf_token": token})
    assert answer.headers["Location"] == "/login"
    browser.set_cookie("mk_login", cookie)
    assert browser.get("/api/v1/jobs").status_code == 401


def test_a_revoked_key_ends_its_logins(keyed, ann):
    browser, _ = logged_in(keyed, ann.secret)
    keyed.service.access.keys.revoke("ann")
    assert browser.get("/api/v1/jobs").status_code == 401
    answer = browser.get("/gpu/live", headers={"HX-Request": "true"})
    assert (answer.status_code, answer.headers["HX-Redirect"]) == (401, "/login")


def test_a_key_in_the_header_counts_before_the_cookie(keyed, ann):
    browser, _ = logged_in(keyed, ann.secret)
    wrong = {"Authorization": "Bearer mk_wrong"}
    assert browser.get("/api/v1/jobs", headers=wrong).status_code == 401
    proxy = {"Authorization": "Basic YTpi"}  # of a proxy in front, no business of ours
    assert browser.get("/api/v1/jobs", headers=proxy).status_code == 200


@pytest.mark.parametrize(
    "address",
    ["//evil.example", "/\\evil.example", "https://evil.example", "evil", "", "/\t/evil.example",
     "/a\\b", "/login?next=/login", "javascript:alert(1)", "/" + "a" * 2001],
)  # fmt: skip
def test_nobody_is_led_away_after_the_login(address):
    assert local_address(address) == "/"


def test_the_page_of_the_login_runs_under_the_policy_of_all_pages(keyed):
    answer = keyed.client.get("/login", headers=HTML)
    assert "script-src 'self' 'wasm-unsafe-eval';" in answer.headers["Content-Security-Policy"]
    assert "style=" not in answer.text
    assert "<script>" not in answer.text


def test_wrong_keys_from_everywhere_do_not_fill_the_record(keyed):
    browser = keyed.app.test_client()
    token = csrf_of(browser)
    for n in range(40):
        form = {"key": f"mk_{n}", "csrf_token": token}
        answer = browser.post("/login", data=form, environ_base={"REMOTE_ADDR": f"192.0.2.{n}"})
        assert answer.status_code == 401
    noted = [one for one in keyed.service.access.audit.entries() if one.action == "login.failed"]
    assert len(noted) == 30


def test_another_login_of_the_same_browser_ends_the_first(keyed, ann):
    browser, token = logged_in(keyed, ann.secret)
    first = browser.get_cookie("mk_login").value
    answer = browser.post("/login", data={"key": ann.secret, "csrf_token": token})
    second = browser.get_cookie("mk_login").value
    assert answer.status_code == 303
    assert keyed.service.access.logins.find(first) is None
    assert keyed.service.access.logins.find(second).id == ann.key.id
