from __future__ import annotations

import socket
import time

import pytest
import redis

from backend.jobs.quick_redis import QuickRedis


def test_after_one_wait_nobody_waits_again(hung_redis, monkeypatch):
    monkeypatch.setattr("backend.jobs.quick_redis.ANSWER_S", 0.2)
    url, asked = hung_redis
    client = QuickRedis.to(url, silence_s=60.0)
    with pytest.raises(redis.TimeoutError):
        client.get("a")
    count = len(asked)
    began_s = time.monotonic()
    for look in (lambda: client.get("a"), lambda: client.pipeline().get("a").execute()):
        with pytest.raises(redis.RedisError, match="a moment ago"):
            look()
    assert time.monotonic() - began_s < 0.1
    assert len(asked) == count


def test_it_asks_again_after_the_silence(hung_redis, monkeypatch):
    monkeypatch.setattr("backend.jobs.quick_redis.ANSWER_S", 0.1)
    url, asked = hung_redis
    client = QuickRedis.to(url, silence_s=0.0)
    for _ in range(2):
        with pytest.raises(redis.TimeoutError):
            client.pipeline().get("a").execute()
    assert len(asked) == 2


def test_a_refused_connection_is_no_silence(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    client = QuickRedis.to(f"redis://127.0.0.1:{port}", silence_s=60.0)
    for _ in range(2):
        with pytest.raises(redis.ConnectionError, match="refused"):
            client.get("a")
