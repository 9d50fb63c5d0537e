from __future__ import annotations

import pytest

from backend.jobs.broker import redis_url
from backend.jobs.event_hub import WAITING_PROGRESS, EventHub
from backend.jobs.events import FROM_START, KEPT_S, EventLog, is_stream_id, stream_key
from backend.jobs.service import NO_REDIS
from backend.jobs.states import EventType

from .scratch_redis import scratch_redis

pytestmark = pytest.mark.server
JOB = "01m7y2xs5c0000000000000000"


@pytest.fixture
def log(tmp_path):
    with scratch_redis(tmp_path):
        made = EventLog(redis_url(tmp_path))
        yield made
        made.close()


@pytest.fixture
def hub(log, tmp_path):
    made = EventHub(log, redis_url(tmp_path))
    yield made
    made.close()


def publish_many(log, count, kind=EventType.PROGRESS):
    for step in range(count):
        assert log.publish(JOB, kind, {"step": step})


def drain(subscription, timeout_s=2.0):
    found = []
    while event := subscription.get(timeout_s if not found else 0.5):
        found.append(event)
    return found


def test_events_are_resumed_live_coalesced_and_trimmed(log, hub):
    resume_and_live(log, hub)
    two_listeners_see_the_same(log, hub)
    slow_listener_keeps_all_states(log, hub)
    trimmed_stream_is_noticed(log)
    number_and_entry_come_together(log)
    lost_end_of_a_stream_is_noticed(log)


def resume_and_live(log, hub):
    publish_many(log, 3)
    first = log.read_after(JOB, FROM_START)
    assert [event.seq for event in first] == [1, 2, 3]
    with hub.subscribe(JOB, first[1].id) as subscription:
        log.publish(JOB, EventType.STATE, {"status": "running"})
        found = drain(subscription)
    assert [event.seq for event in found] == [3, 4], "nothing twice, nothing missing"
    assert found[-1].document()["v"] == 1


def two_listeners_see_the_same(log, hub):
    last = log.last_id(JOB)
    with hub.subscribe(JOB, last) as one, hub.subscribe(JOB, last) as two:
        publish_many(log, 20, EventType.STAGE)
        seen = [[event.seq for event in drain(s)] for s in (one, two)]
    assert seen[0] == seen[1] == list(range(5, 25))


def slow_listener_keeps_all_states(log, hub):
    with hub.subscribe(JOB, log.last_id(JOB)) as subscription:
        for _ in range(3):
            publish_many(log, WAITING_PROGRESS)
            log.publish(JOB, EventType.STATE, {"status": "running"})
        log.publish(JOB, EventType.END, {"status": "succeeded"})
        import time

        time.sleep(0.5)  # the listener does not read meanwhile
        found = drain(subscription)
    kinds = [event.type for event in found]
    assert kinds.count(EventType.STATE) == 3
    assert kinds[-1] is EventType.END
    assert kinds.count(EventType.PROGRESS) < 3 * WAITING_PROGRESS


def trimmed_stream_is_noticed(log):
    start = log.read_after(JOB, FROM_START)[0].id
    assert not log.is_trimmed(JOB, start)
    publish_many(log, 1300)
    assert log.is_trimmed(JOB, start)
    assert not log.is_trimmed(JOB, log.last_id(JOB))


def number_and_entry_come_together(log):
    """A publisher that is killed at any moment leaves no hole in the numbers."""
    commands = []
    execute = log.client.execute_command

    def note(*args, **options):
        commands.append(args[0])
        return execute(*args, **options)

    log.client.execute_command = note
    publish_many(log, 3)
    del log.client.execute_command
    assert commands == ["EVAL"] * 3
    numbers = [event.seq for event in log.read_after(JOB, FROM_START)][-4:]
    assert numbers == list(range(numbers[0], numbers[0] + 4))
    assert 0 < log.client.ttl(stream_key(JOB)) <= KEPT_S


def lost_end_of_a_stream_is_noticed(log):
    """What a Redis that died has forgotten was seen by somebody."""
    seen = log.last_id(JOB)
    log.client.xdel(stream_key(JOB), seen)
    assert log.is_trimmed(JOB, seen)
    log.client.delete(stream_key(JOB))
    assert log.is_trimmed(JOB, seen)
    assert not log.is_trimmed(JOB, FROM_START)


def test_nothing_breaks_when_redis_is_away():
    log = EventLog(NO_REDIS)
    assert not log.publish(JOB, EventType.STATE, {})
    assert log.last_id(JOB) == FROM_START
    assert not log.has_cancel_flag(JOB)
    log.set_cancel_flag(JOB)
    hub = EventHub(log, NO_REDIS)
    with hub.subscribe(JOB) as subscription:
        assert subscription.get(0.1) is None
    hub.close()
    log.close()


@pytest.mark.parametrize("text", ["", "1", "a-b", "1-2-3", "१-२", "1" * 60 + "-1"])
def test_foreign_event_ids_are_told_apart(text):
    assert not is_stream_id(text)
    assert is_stream_id("1732147200000-0")
