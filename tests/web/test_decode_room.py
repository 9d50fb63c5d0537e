from __future__ import annotations

import threading
from contextlib import ExitStack

import pytest

from backend.web.decode_room import DecodeRoom

PATIENCE_S = 10
A_MOMENT_S = 0.1


class Visitor(threading.Thread):
    """Enters a room and stays until told to leave."""

    def __init__(self, room, pixels):
        super().__init__(daemon=True)
        self._room, self._pixels = room, pixels
        self._leave = threading.Event()
        self.inside = threading.Event()
        self.start()

    def run(self):
        with self._room.taken(self._pixels):
            self.inside.set()
            self._leave.wait(PATIENCE_S)

    def leave(self):
        self._leave.set()
        self.join(PATIENCE_S)


def test_small_pictures_share_the_room_up_to_their_number():
    room = DecodeRoom(pictures=3, pixels=100)
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(room.taken(10))
        fourth = Visitor(room, 10)
        assert not fourth.inside.wait(A_MOMENT_S)
    assert fourth.inside.wait(PATIENCE_S)
    fourth.leave()


def test_large_pictures_wait_for_pixels():
    room = DecodeRoom(pictures=8, pixels=100)
    with room.taken(60):
        large = Visitor(room, 60)
        assert not large.inside.wait(A_MOMENT_S)
    assert large.inside.wait(PATIENCE_S)
    large.leave()


def test_a_picture_larger_than_the_room_has_it_to_itself():
    room = DecodeRoom(pictures=8, pixels=100)
    huge = Visitor(room, 1000)
    assert huge.inside.wait(PATIENCE_S)
    small = Visitor(room, 1)
    assert not small.inside.wait(A_MOMENT_S)
    huge.leave()
    assert small.inside.wait(PATIENCE_S)
    small.leave()


def test_nobody_overtakes_a_large_picture_that_waits():
    room = DecodeRoom(pictures=8, pixels=100)
    first = Visitor(room, 50)
    assert first.inside.wait(PATIENCE_S)
    large = Visitor(room, 100)
    assert not large.inside.wait(A_MOMENT_S)
    late = Visitor(room, 10)
    assert not late.inside.wait(A_MOMENT_S)
    first.leave()
    assert large.inside.wait(PATIENCE_S)
    assert not late.inside.is_set()
    large.leave()
    assert late.inside.wait(PATIENCE_S)
    late.leave()


def test_room_comes_back_after_an_error():
    room = DecodeRoom(pictures=1, pixels=100)
    with pytest.raises(ValueError, match="torn"), room.taken(100):
        raise ValueError("torn")
    after = Visitor(room, 100)
    assert after.inside.wait(PATIENCE_S)
    after.leave()
