"""A server that asks for keys, and people who have some."""

from __future__ import annotations

import re
from typing import Any

from flask.testing import FlaskClient

from backend.jobs.access.api_key import ApiKey
from tests.web.conftest import Server


class Caller:
    """Somebody with a key, who sends it with every request."""

    def __init__(self, server: Server, name: str, **options: Any) -> None:
        self.key: ApiKey
        self.key, self.secret = server.service.access.keys.create(name, **options)
        self.headers = {"Authorization": f"Bearer {self.secret}"}
        self.client = server.app.test_client(use_cookies=False)

    def ask(self, method: str, path: str, **options: Any):
        headers = self.headers | options.pop("headers", {})
        return self.client.open(path, method=method, headers=headers, buffered=True, **options)

    def get(self, path: str, **options: Any):
        return self.ask("GET", path, **options)

    def post(self, path: str, **options: Any):
        return self.ask("POST", path, **options)


def csrf_of(client: FlaskClient) -> str:
    page = client.get("/login", headers={"Accept": "text/html"})
    return re.search(r'name="csrf_token" value="([^"]+)"', page.text)[1]


def logged_in(server: Server, secret: str) -> tuple[FlaskClient, str]:
    """A browser after its login, and the token of its forms."""
    client = server.app.test_client()
    token = csrf_of(client)
    answer = client.post("/login", data={"key": secret, "csrf_token": token})
    assert answer.status_code == 303, answer.text
    return client, token
