"""Bells that cannot be answered; tests/jobs/test_worker.py has the same with a real worker."""

from __future__ import annotations

import pytest
from kombu.transport import virtual

from backend.jobs.bell_transport import AnsweredBells
from backend.jobs.broker import redis_url
from backend.jobs.doorbell import celery_app
from tests.jobs.scratch_redis import scratch_redis


@pytest.mark.parametrize(
    "url", ["redis://localhost:1/0", "rediss://localhost:1/0", "unix:///run/x/redis.sock"]
)
def test_every_address_is_spoken_to_through_it(url):
    with celery_app(url).connection_for_read() as connection:
        assert connection.get_transport_cls().Channel.QoS is AnsweredBells


@pytest.mark.parametrize("answer", ["ack", "reject"])
def test_a_bell_is_answered_even_if_redis_is_gone(tmp_path, caplog, answer):
    with (
        scratch_redis(tmp_path) as client,
        celery_app(redis_url(tmp_path)).connection_for_read() as connection,
    ):
        bells = connection.default_channel.qos
        bells.prefetch_count = 1
        virtual.QoS.append(bells, "a message", "tag")
        assert not bells.can_consume()
        client.shutdown(nosave=True)
        getattr(bells, answer)("tag", **({"requeue": True} if answer == "reject" else {}))
        assert bells.can_consume()
    assert "could not be told that a bell was answered" in caplog.text


def test_a_bell_that_is_given_back_rings_again(tmp_path):
    with (
        scratch_redis(tmp_path) as client,
        celery_app(redis_url(tmp_path)).connection_for_read() as connection,
    ):
        queue = connection.SimpleQueue("gpu")
        queue.put({"a": "bell"})
        queue.get(timeout=5).reject_log_error(None, (), requeue=True)
        again = queue.get(timeout=5)
        again.ack()
        assert again.payload == {"a": "bell"}
        assert client.hlen("unacked") == 0
        queue.close()
