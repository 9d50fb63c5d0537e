"""Readings on their way from a worker to whoever draws them, through a real Redis."""

from __future__ import annotations

import threading

import pytest
import redis

from backend.gpu.sampler import Sampler
from backend.jobs import sample_writer
from backend.jobs.gpu_samples import (
    COLUMNS,
    DeviceKind,
    Moment,
    find_streams,
    read_streams,
    rows_of,
)
from backend.jobs.redis_url import connect
from backend.jobs.sample_writer import LEAD_PREFIX, LEAD_S, WAITING, SampleWriter
from tests.jobs.conftest import wait_until
from tests.jobs.scratch_redis import scratch_redis
from tests.residency.conftest import StandingClock

HOST = {"devices": [], "host": {"name": "kiln", "cpu_pct": 12.5, "ram_used_mb": 900}}
IDLE = (None, None)
BUSY = ("job1", "shape_generation")


def card(**more):
    return {
        "index": 0, "uuid": "GPU-1", "name": "Scripted Card", "vram_used_mb": 5000,
        "vram_total_mb": 24000, "vram_used_by_us_mb": {"allocated": 1, "reserved": 3000},
        "vram_used_by_others_mb": 2000, "gpu_util_pct": 0, "power_w": 61.4,
        "power_limit_w": 450.0, "temp_c": 51, "sm_clock_mhz": 2520, "sm_clock_max_mhz": 3105,
        "throttle": {"active": ["power_cap"]},
    } | more  # fmt: skip


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    with scratch_redis(tmp_path_factory.mktemp("redis")) as client:
        yield client


@pytest.fixture
def client(scratch):
    scratch.flushdb()
    return scratch


@pytest.fixture
def make_writer(client):
    def make(owner="kiln:1:1", doing=IDLE, clock=None):
        return SampleWriter(client, owner, clock or StandingClock(), lambda: doing)

    return make


def named(history):
    columns = COLUMNS[history.device.kind]
    return [dict(zip(columns, row, strict=True)) for row in history.rows]


def read_all(client):
    streams = find_streams(client)
    return [history for history, _ in read_streams(client, dict.fromkeys(streams, "-"))]


def test_a_card_becomes_one_row_with_every_figure_in_its_column():
    ((device, row),) = rows_of({"devices": [card()]}, Moment(10.0, 300.0, *BUSY))
    assert (device.key, device.name, device.kind) == ("GPU-1", "Scripted Card", DeviceKind.GPU)
    assert dict(zip(COLUMNS[device.kind], row, strict=True)) == {
        "at_s": 10.0, "vram_used_mb": 5000, "vram_ours_mb": 3000, "vram_others_mb": 2000,
        "vram_total_mb": 24000, "util_pct": 0, "power_w": 61.4, "power_limit_w": 450.0,
        "temp_c": 51, "sm_clock_mhz": 2520, "sm_clock_max_mhz": 3105, "throttle": ["power_cap"],
        "job": "job1", "stage": "shape_generation",
    }  # fmt: skip


def test_what_a_card_does_not_tell_is_null_and_never_zero():
    lost = {"index": 3, "uuid": None, "name": None}
    ((device, row),) = rows_of({"devices": [lost]}, Moment(10.0, 300.0, *IDLE))
    assert (device.key, device.name) == ("3", "GPU 3")
    assert row == [10.0, *[None] * 13]


def test_a_machine_without_a_card_is_a_host_and_no_gpu():
    ((device, row),) = rows_of(HOST, Moment(10.0, 300.0, *IDLE))
    assert (device.key, device.kind) == ("host:kiln", DeviceKind.HOST)
    assert row == [10.0, 12.5, 900, None, 300.0, None, None]


def test_readings_and_stages_come_back_in_order(client, make_writer):
    clock = StandingClock()
    writer = make_writer(doing=BUSY, clock=clock)
    for used_mb in (100, 200):
        writer.offer({"devices": [card(vram_used_mb=used_mb)]})
        clock.forward(1)
    writer.mark("job1", "mesh_export")
    writer.mark("job1", None)
    assert writer.write_waiting() == 4
    (history,) = read_all(client)
    rows = named(history)
    assert [row["vram_used_mb"] for row in rows] == [100, 200]
    assert rows[1]["at_s"] - rows[0]["at_s"] == 1
    at_s = rows[1]["at_s"] + 1
    assert history.marks == [[at_s, "job1", "mesh_export"], [at_s, "job1", None]]


def test_what_came_after_an_id_is_read_alone(client, make_writer):
    clock = StandingClock()
    writer = make_writer(clock=clock)
    writer.offer(HOST)
    writer.write_waiting()
    (stream,) = find_streams(client)
    ((_, newest),) = read_streams(client, {stream: "-"})
    assert read_streams(client, {stream: f"({newest}"}) == []
    clock.forward(1)
    writer.offer(HOST)
    writer.write_waiting()
    ((history, _),) = read_streams(client, {stream: f"({newest}"})
    assert len(history.rows) == 1


def test_a_reading_right_after_another_is_left_out(client, make_writer):
    clock = StandingClock()
    writer = make_writer(clock=clock)
    writer.offer(HOST)
    clock.forward(0.05)
    writer.offer(HOST)
    clock.forward(0.2)
    writer.offer(HOST)
    assert writer.write_waiting() == 2


def test_the_stream_is_bounded_and_goes_by_itself(client, make_writer, monkeypatch):
    monkeypatch.setattr(sample_writer, "STREAM_LENGTH", length := 600)
    clock = StandingClock()
    writer = make_writer(clock=clock)
    for _ in range(length // WAITING + 3):
        for _ in range(WAITING):
            clock.forward(1)
            writer.offer(HOST)
        writer.write_waiting()
    (stream,) = find_streams(client)
    assert length <= client.xlen(stream) < length + 200
    assert 0 < client.ttl(stream) <= 2 * 3600


def test_one_of_several_children_writes_the_host_and_a_busy_one_goes_first(client, make_writer):
    idle, busy = make_writer("kiln:1:1"), make_writer("kiln:2:1", BUSY)
    other = make_writer("kiln:3:1", BUSY)
    counts = []
    for writer in (idle, busy, other, idle):
        writer._offered_s = None
        writer.offer(HOST)
        counts.append(writer.write_waiting())
    assert counts == [1, 1, 0, 0]
    assert client.ttl(f"{LEAD_PREFIX}host:kiln") <= LEAD_S


def test_stages_are_told_by_every_child(client, make_writer):
    leads, follows = make_writer("kiln:1:1", BUSY), make_writer("kiln:2:1", BUSY)
    for writer in (leads, follows):
        writer.offer(HOST)
        writer.mark("job", "mesh_export")
        writer.write_waiting()
    (history,) = read_all(client)
    assert (len(history.rows), len(history.marks)) == (1, 2)


def test_a_sampler_never_waits_for_redis_and_readings_of_an_outage_are_lost():
    away = connect("redis://127.0.0.1:1/0")
    writer = SampleWriter(away, "kiln:1:1", StandingClock(), lambda: IDLE)
    clock = StandingClock()
    writer._clock = clock
    for _ in range(WAITING + 50):
        clock.forward(1)
        writer.offer(HOST)
    assert len(writer._waiting) == WAITING
    assert writer.write_waiting() == 0
    assert not writer._waiting


def test_a_stuck_redis_does_not_hold_up_the_reading_thread():
    release = threading.Event()

    class Stuck:
        def get(self, key):
            release.wait(10)
            raise redis.ConnectionError("gone")

    clock = StandingClock()
    writer = SampleWriter(Stuck(), "kiln:1:1", clock, lambda: IDLE)
    writer.start()
    sampler = Sampler(lambda slow: HOST, clock, on_reading=writer.offer)
    for _ in range(5):
        clock.forward(1)
        assert sampler.sample_once() == HOST
    release.set()
    wait_until(lambda: not writer._waiting)


def test_a_listener_that_fails_does_not_end_the_sampling():
    def fail(status):
        raise RuntimeError("listener")

    sampler = Sampler(lambda slow: HOST, StandingClock(), on_reading=fail)
    assert sampler.sample_once() == HOST
    assert sampler.latest() == HOST


@pytest.mark.server
def test_a_real_worker_tells_readings_stages_and_the_end(workshop):
    job = workshop.submit("ok")
    workshop.wait_for(job.id, "succeeded", "failed")
    client = workshop.service.events.client

    def told():
        marks = [mark for history in read_all(client) for mark in history.marks]
        return marks if marks and marks[-1][2] is None else None

    marks = wait_until(told)
    assert {mark[1] for mark in marks} == {job.id}
    assert [mark[0] for mark in marks] == sorted(mark[0] for mark in marks)
    (history,) = read_all(client)
    assert all(row["at_s"] > 0 for row in named(history))
