from __future__ import annotations

import json

import pytest

from backend.jobs.gpu_samples import DeviceKind, SampledDevice, row_fields
from tests.web.test_report import SECOND, START, ask, record

CARD = SampledDevice("GPU-a", "NVIDIA GeForce RTX 4090", DeviceKind.GPU)


@pytest.fixture
def sampled(live_server):
    """A run of three seconds, with a reading before, two during and one long after it."""
    record(live_server)
    client = live_server.service.events.client
    for seconds, power_w in ((-5, 60.0), (1, 300.0), (2, None), (600, 50.0)):
        at_s = START.timestamp() + seconds
        row = [at_s, 1000.0, None, None, 24564, 90, power_w, 450, 60, 2500, 2520, [], "job0", "s"]
        client.xadd(CARD.stream, row_fields(CARD, row), id=f"{int(at_s * 1000)}-0")
    yield live_server
    client.delete(CARD.stream)


def counters(server):
    events = json.loads(ask(server, format="perfetto").text)["traceEvents"]
    return [event for event in events if event["ph"] == "C"], events


def test_what_the_card_did_lies_on_the_clock_of_the_run(sampled):
    found, events = counters(sampled)
    power = [event for event in found if "power" in event["name"]]
    assert [next(iter(event["args"].values())) for event in power] == [60.0, 300.0]
    (shape,) = [event for event in events if event["ph"] == "X" and event["name"] == "shape"]
    assert power[1]["ts"] - shape["ts"] == pytest.approx(SECOND / 1000)
    assert not [event for event in found if "this worker" in event["name"]], "never measured"


def test_without_redis_the_trace_has_no_counters(server):
    record(server)
    assert counters(server)[0] == []
