from __future__ import annotations

import json
import socket
import threading

import numpy as np
import pytest

from backend.residency.guest import frames
from backend.residency.guest.frames import MAGIC, PREFIX, BrokenFrame, Channel, Closed
from backend.residency.guest.values import CannotPass


@pytest.fixture
def ends():
    ours, theirs = socket.socketpair()
    yield Channel(ours), Channel(theirs), theirs
    ours.close()
    theirs.close()


@pytest.mark.parametrize("mapped_bytes", [1_000_000, frames.MAPPED_BYTES])
def test_frames_arrive_whole_and_in_order_whatever_their_size(ends, monkeypatch, mapped_bytes):
    monkeypatch.setattr(frames, "MAPPED_BYTES", mapped_bytes)
    here, there, _ = ends
    values = [None, "small", np.arange(10), np.arange(600_000), b"y" * 3_000_000, "end"]
    sender = threading.Thread(target=lambda: [here.send("v", n, v) for n, v in enumerate(values)])
    sender.start()
    for number, value in enumerate(values):
        frame = there.receive()
        assert (frame.kind, frame.number) == ("v", number)
        assert np.array_equal(frame.value(), value)
    sender.join()


def test_frames_of_several_threads_do_not_mix(ends):
    here, there, _ = ends
    threads = [
        threading.Thread(target=here.send, args=("v", n, np.full(50_000, n))) for n in range(6)
    ]
    for thread in threads:
        thread.start()
    for _ in threads:
        frame = there.receive()
        assert (frame.value() == frame.number).all()


def test_a_value_that_cannot_pass_leaves_the_wire_untouched(ends):
    here, there, _ = ends
    with pytest.raises(CannotPass):
        here.send("v", 1, [np.zeros(100_000), object()])
    here.send("v", 2, fields=3)
    assert there.receive().number == 2


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        PREFIX.pack(MAGIC, 2**31),
        PREFIX.pack(MAGIC, 3) + b"{a}",
        *(
            PREFIX.pack(MAGIC, len(text)) + text
            for text in (
                json.dumps(document).encode()
                for document in (
                    [], [1, 2, {}, None, []], ["v", 1, {}, None, [-1]],
                    ["v", 1, {}, None, [2**60]], ["v", 1, {}, None, [0] * 100_001],
                    ["v", 1, [], None, []],
                )
            )
        ),
        PREFIX.pack(MAGIC, 200_000) + b"[" * 200_000,
    ],
    ids=lambda data: str(data[:24]),
)  # fmt: skip
def test_what_is_no_frame_is_refused_before_memory_is_taken(ends, data):
    here, _, theirs = ends
    threading.Thread(target=theirs.sendall, args=(data,)).start()
    with pytest.raises(BrokenFrame):
        here.receive()


def test_hanging_up_ends_whoever_waits(ends):
    here, there, _ = ends
    threading.Timer(0.05, here.close).start()
    with pytest.raises(Closed):
        here.receive()
    with pytest.raises(Closed):
        there.receive()
    with pytest.raises(Closed):
        there.send("v", value=b"z" * 1_000_000)


def test_more_than_a_header_may_hold_is_refused_by_the_sender(ends, monkeypatch):
    monkeypatch.setattr(frames, "LARGEST_HEADER", 1000)
    with pytest.raises(ValueError, match="more than fits"):
        ends[0].send("v", value=list(range(1000)))
    monkeypatch.setattr(frames, "LARGEST_FRAME", 1000)
    with pytest.raises(ValueError, match="more than fits"):
        ends[0].send("v", value=bytes(1001))
