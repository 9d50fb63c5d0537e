from __future__ import annotations

import pytest
import redis

from backend.jobs.busy_clock import busy_clock
from backend.jobs.gpu_samples import Moment, row_fields, rows_of
from tests.jobs.scratch_redis import scratch_redis
from tests.profiling.test_history import ScriptedClock

CARD = "NVIDIA H200"


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    with scratch_redis(tmp_path_factory.mktemp("redis")) as client:
        yield client


@pytest.fixture
def client(scratch):
    scratch.flushdb()
    return scratch


@pytest.fixture
def clock():
    return ScriptedClock()


@pytest.fixture
def tell(client, clock):
    """Write a reading as a worker does."""

    def write(mhz, *, util=99, job="job1", ago_s=10.0, name=CARD, uuid="GPU-1"):
        at_s = clock.now().timestamp() - ago_s
        device = {
            "index": 0, "uuid": uuid, "name": name, "gpu_util_pct": util, "sm_clock_mhz": mhz,
        }  # fmt: skip
        for sampled, row in rows_of({"devices": [device]}, Moment(at_s, 1.0, job, None)):
            client.xadd(sampled.stream, row_fields(sampled, row), id=f"{round(1000 * at_s)}-1")

    return write


def test_the_clock_is_the_mean_of_the_readings_at_work(client, clock, tell):
    tell(1400, ago_s=30)
    tell(1600, ago_s=20)
    tell(None, ago_s=15)
    found = busy_clock(client, clock, CARD)
    assert (found.device, found.mhz) == (CARD, 1500)
    assert (clock.now() - found.since).total_seconds() == pytest.approx(600, abs=1)


@pytest.mark.parametrize(
    "idle", [{"job": None}, {"util": 10}, {"util": None}, {"name": "NVIDIA L4"}, {"ago_s": 700.0}]
)
def test_readings_of_a_card_that_rests_do_not_count(client, clock, tell, idle):
    tell(210, **idle)
    assert busy_clock(client, clock, CARD) is None
    tell(1800, uuid="GPU-2")
    assert busy_clock(client, clock, CARD).mhz == 1800


def test_without_redis_the_clock_is_unknown(clock):
    away = redis.Redis(unix_socket_path="/nonexistent/redis.sock", retry=None)
    assert busy_clock(away, clock, CARD) is None
