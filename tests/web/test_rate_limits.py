from __future__ import annotations

import doctest
import io
import socket
import time

import pytest

from backend.jobs.access.api_key import KeyLimits
from backend.units import SystemClock
from backend.web.access import caller_address
from backend.web.access.rate_limits import RateLimits
from tests.web.keyed import Caller, logged_in


@pytest.fixture
def keyed(make_server):
    return make_server(require_key=True, submits_per_min=3, reads_per_min=5)


@pytest.fixture
def ann(keyed):
    return Caller(keyed, "ann")


def submit(caller, png, **headers):
    data = {"pipeline": "image_to_3d", "file": (io.BytesIO(png), "doll.png")}
    return caller.post("/api/v1/jobs", data=data, headers=headers)


def test_a_hundred_submits_are_answered_with_a_time_to_come_back(keyed, ann, small_png):
    """Abuse row 38."""
    answers = [submit(ann, small_png) for _ in range(100)]
    codes = [answer.status_code for answer in answers]
    assert codes == [202] * 3 + [429] * 97
    refused = answers[-1]
    assert refused.json["code"] == "rate-limited"
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert refused.json["retry_after"] == int(refused.headers["Retry-After"])
    assert keyed.count() == 3


def test_a_full_queue_is_answered_with_a_time_to_come_back(make_server, small_png):
    """Abuse row 38, without keys."""
    small = make_server(max_queued_jobs=2)
    codes = [small.post(small_png).status_code for _ in range(10)]
    assert codes == [202] * 2 + [503] * 8
    refused = small.post(small_png)
    assert refused.json["code"] == "queue-full"
    assert int(refused.headers["Retry-After"]) > 0


def test_the_headers_tell_how_many_are_left(ann, small_png):
    left = [submit(ann, small_png).headers["RateLimit"].split(";")[:2] for _ in range(4)]
    assert left == [['"submits"', f"r={n}"] for n in (2, 1, 0, 0)]
    answer = ann.get("/api/v1/jobs")
    assert answer.headers["RateLimit-Policy"] == '"reads";q=5;w=60'
    assert answer.headers["RateLimit"].startswith('"reads";r=4;t=')


def test_reads_and_submits_and_keys_are_counted_apart(keyed, ann, small_png):
    codes = [ann.get("/api/v1/jobs").status_code for _ in range(6)]
    assert codes == [200] * 5 + [429]
    assert submit(ann, small_png).status_code == 202
    assert Caller(keyed, "ben").get("/api/v1/jobs").status_code == 200


def test_a_key_may_have_limits_of_its_own(keyed, small_png):
    fast = Caller(keyed, "fast", limits=KeyLimits(submits_per_min=5, reads_per_min=1))
    assert [submit(fast, small_png).status_code for _ in range(6)] == [202] * 5 + [429]
    assert [fast.get("/api/v1/jobs").status_code for _ in range(2)] == [200, 429]


def test_a_repeated_submit_counts_as_a_look(ann, small_png):
    """Abuse row 31: whoever is not sure that a submit arrived may ask again."""
    answers = [submit(ann, small_png, **{"Idempotency-Key": "k"}) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [202] + [200] * 4
    assert len({answer.json["id"] for answer in answers}) == 1
    assert answers[-1].headers["RateLimit"].startswith('"reads";r=1;')
    assert submit(ann, small_png).headers["RateLimit"].startswith('"submits";r=1;')


def test_a_submit_that_was_refused_does_not_make_the_next_one_a_look(keyed, ann, small_png):
    """Whoever sent everything twice would else have no limit."""
    for name in "abcdef":
        for _ in range(2):
            answer = submit(ann, small_png, **{"Idempotency-Key": name})
    assert answer.status_code == 429
    assert keyed.count() == 3


def test_another_address_of_the_same_ipv6_network_is_no_other_caller(keyed):
    def code(address):
        return keyed.client.get("/api/v1/jobs", environ_base={"REMOTE_ADDR": address}).status_code

    assert {code(f"2001:db8:1:2::{n:x}") for n in range(30)} == {401}
    assert code("2001:db8:1:2:aaaa::1") == 429
    assert code("2001:db8:1:3::1") == 401
    assert code("192.0.2.1") == 401


def test_who_counts_as_one_caller():
    assert doctest.testmod(caller_address).failed == 0


def test_a_forwarded_address_is_not_believed(keyed):
    codes = [
        keyed.client.get("/api/v1/jobs", headers={"X-Forwarded-For": f"192.0.2.{n}"}).status_code
        for n in range(31)
    ]
    assert codes == [401] * 30 + [429]


def test_people_may_look_more_often_than_scripts(keyed, ann):
    browser, _ = logged_in(keyed, ann.secret)
    codes = [browser.get("/api/v1/jobs").status_code for _ in range(21)]
    assert codes == [200] * 20 + [429]


def test_static_files_and_health_are_not_counted(ann):
    for _ in range(10):
        assert ann.get("/healthz").status_code == 200
        assert ann.get("/static/css/tokens.css").status_code == 200
    assert ann.get("/api/v1/jobs").headers["RateLimit"].startswith('"reads";r=4;')


def test_strangers_are_turned_away_faster_after_thirty_tries(keyed, ann):
    codes = [keyed.client.get("/api/v1/jobs").status_code for _ in range(32)]
    assert codes == [401] * 30 + [429] * 2
    assert ann.get("/api/v1/jobs").status_code == 200  # from the same address


def test_there_is_room_again_after_a_minute(monkeypatch):
    limits, now_s = RateLimits(""), SystemClock().now().timestamp()
    monkeypatch.setattr(time, "time", lambda: now_s)
    assert [limits.count("x", "a", 2).is_allowed for _ in range(3)] == [True, True, False]
    now_s += 61
    assert limits.count("x", "a", 2).is_allowed


def test_all_web_processes_count_together(redis_address):
    first, second = RateLimits(redis_address), RateLimits(redis_address)
    allowed = [one.count("both", "a", 3).is_allowed for one in (first, second, first, second)]
    assert allowed == [True, True, True, False]


def test_a_redis_that_hangs_costs_one_short_wait_and_no_request():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        limits = RateLimits(f"redis://127.0.0.1:{listener.getsockname()[1]}/0")
        started_s = time.monotonic()
        standings = [limits.count("x", "a", 3) for _ in range(5)]
        assert time.monotonic() - started_s < 2.0
    assert [standing.is_allowed for standing in standings] == [True] * 3 + [False] * 2
