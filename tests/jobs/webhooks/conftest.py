"""Webhooks of a service on a scripted clock."""

from __future__ import annotations

import pytest

from backend.jobs.webhooks.service import Webhooks
from backend.settings import Settings
from tests.jobs.webhooks.receivers import Receiver


@pytest.fixture
def receiver():
    made = []

    def make(*answers):
        made.append(Receiver(*answers))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def hooked(service):
    """Give the service webhooks that may go to these receivers."""

    def make(*receivers, **options):
        settings = Settings.from_env(
            {}, data_dir=service.settings.data_dir, webhook_hosts=tuple(r.place for r in receivers)
        )
        service.webhooks = Webhooks(settings, service.store, **options)
        return service.webhooks

    return make


@pytest.fixture
def submit(service):
    def made(url, **options):
        new = service.prepare(
            "image_to_3d", {"preset": "draft"}, "doll", webhook_url=url, **options
        )
        return service.submit(new, {"image.png": b"x"})[0]

    return made


@pytest.fixture
def end(service):
    """Let the next waiting job end."""

    def make(error=None):
        (claimed,) = service.claims.claim("gpu", "test:1:1")
        if error:
            assert service.claims.fail(claimed, error)
        else:
            assert service.claims.finish(claimed, [], {})
        return claimed.id

    return make
