"""Logging in with a key, in a real browser on a server that asks for one."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
from playwright.sync_api import expect

from backend.jobs.service import NO_REDIS
from tests.web.conftest import gunicorn


@pytest.fixture
def keyed(tmp_path):
    with gunicorn(tmp_path / "data", NO_REDIS, require_key=True) as web:
        _, secret = web.service.access.keys.create("ann")
        yield SimpleNamespace(url=web.http, secret=secret)


def log_in(page, secret):
    page.get_by_label("Key").fill(secret)
    page.get_by_role("button", name="Log in").click()


@pytest.mark.server
def test_a_key_opens_the_page_that_was_asked_for_and_logging_out_closes_it(keyed, new_page):
    # the browser reports the 401 of a wrong key in its console
    page = new_page(keyed, expect_errors=True, viewport={"width": 360, "height": 740})
    page.goto("/gallery?q=chair")
    expect(page).to_have_url(re.compile(r"/login\?next=%2Fgallery%3Fq%3Dchair$"))
    expect(page.get_by_label("Key")).to_be_focused()

    log_in(page, "mk_" + "a" * 43)
    expect(page.get_by_role("alert")).to_contain_text("This key is wrong")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360

    log_in(page, keyed.secret)
    expect(page).to_have_url(f"{keyed.url}/gallery?q=chair")
    assert "mk_login" not in page.evaluate("document.cookie")

    page.goto("/gpu")
    expect(page.locator("#read-only")).to_contain_text("administrator")
    page.get_by_role("button", name="Log out").click()
    expect(page).to_have_url(f"{keyed.url}/login")
    page.goto("/gallery")
    expect(page).to_have_url(f"{keyed.url}/login?next=%2Fgallery")
