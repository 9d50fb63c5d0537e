from __future__ import annotations

import pytest
import redis

from backend.jobs.redis_url import connect
from backend.jobs.residency_moves import KEPT_MOVES, KEY, MoveWriter, read_moves
from tests.jobs.scratch_redis import scratch_redis


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    with scratch_redis(tmp_path_factory.mktemp("redis")) as client:
        yield client


@pytest.fixture
def client(scratch):
    scratch.flushdb()
    return scratch


def move(seq, after="resident", before="restoring"):
    return {
        "seq": seq, "at": f"2026-11-21T00:00:{seq % 60:02}.000Z", "model": "shape",
        "from": before, "to": after, "reason": "wanted", "elapsed_s": 0.1,
    }  # fmt: skip


def status(*moves, backend="cuda", models=("shape",)):
    return {
        "sampled_at": "2026-11-21T00:00:00.000Z",
        "models": [{"name": name} for name in models],
        "residency": {"backend": backend, "transitions": list(moves)},
    }


def test_a_start_and_then_each_move_once_whatever_order_they_are_told_in(client):
    writer = MoveWriter(client, "kiln:1:1", "kiln:0")
    writer.publish(status())
    writer.publish(status(move(2), move(1)))
    writer.publish(status(move(3), move(2), move(1)))
    entries = read_moves(client)
    assert [entry["kind"] for entry in entries] == ["start", "move", "move", "move"]
    assert [entry["seq"] for entry in entries[1:]] == [1, 2, 3]
    assert entries[0]["models"] == ["shape"]
    assert {(entry["worker"], entry["card"]) for entry in entries} == {("kiln:1:1", "kiln:0")}


@pytest.mark.parametrize(("backend", "on_gpu"), [("cuda", True), ("cpu", False)])
def test_a_move_tells_whether_the_device_is_a_gpu(client, backend, on_gpu):
    MoveWriter(client, "kiln:1:1", None).publish(status(move(1), backend=backend))
    assert read_moves(client)[1]["on_gpu"] is on_gpu


def test_a_worker_without_models_tells_nothing(client):
    MoveWriter(client, "kiln:1:1", None).publish(status(models=()))
    assert not client.exists(KEY)


def test_the_list_is_bounded_to_the_newest(client):
    writer = MoveWriter(client, "kiln:1:1", None)
    for first in range(1, 600, 20):
        writer.publish(status(*(move(seq) for seq in range(first, first + 20))))
    entries = read_moves(client)
    assert len(entries) == KEPT_MOVES
    assert entries[-1]["seq"] == 600


def test_what_redis_did_not_take_is_written_by_the_next_call(client):
    writer = MoveWriter(connect("redis://127.0.0.1:1/0"), "kiln:1:1", None)
    with pytest.raises(redis.RedisError):
        writer.publish(status(move(1)))
    writer._client = client
    writer.publish(status(move(2), move(1)))
    assert [entry.get("seq") for entry in read_moves(client)] == [None, 1, 2]


def test_no_redis_reads_as_nothing():
    assert read_moves(connect("redis://127.0.0.1:1/0")) == []
