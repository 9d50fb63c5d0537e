"""A connected socket whose reads and writes end together at a deadline."""

from __future__ import annotations

import io
import socket
from typing import Any

from backend.units import Clock

AT_ONCE = 64 * 1024


class TimedSocket:
    """What ``http.client`` needs of a socket.

    The time limit of a plain socket holds for each single read: a peer that sends a byte now and
    then would never meet it. Here every read and write gets what is left until the deadline.

    Parameters
    ----------
    connection : socket
        Connected; the caller closes it.
    deadline_s : float
        On the clock's ``monotonic_s``.
    clock : Clock
        Source of time.
    """

    def __init__(self, connection: socket.socket, deadline_s: float, clock: Clock) -> None:
        self._connection = connection
        self._deadline_s = deadline_s
        self._clock = clock
        self._readable_bytes = 0

    def allow(self, size_bytes: int) -> None:
        """Let so many more bytes be read."""
        self._readable_bytes += size_bytes

    def sendall(self, data: bytes) -> None:
        """Send everything; raises TimeoutError at the deadline."""
        left = memoryview(data)
        while left:
            self._limit()
            left = left[self._connection.send(left[:AT_ONCE]) :]

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return the stream of what the peer sends."""
        return io.BufferedReader(_Reader(self))

    def close(self) -> None:
        """Do nothing: the stream may still be read, and the caller closes the connection."""

    def receive_into(self, buffer: Any) -> int:
        """Read what is there; raises TimeoutError at the deadline, OSError above the allowance."""
        if self._readable_bytes <= 0:
            raise OSError("the answer is longer than allowed")
        self._limit()
        received = self._connection.recv_into(buffer)
        self._readable_bytes -= received
        return received

    def _limit(self) -> None:
        left_s = self._deadline_s - self._clock.monotonic_s()
        if left_s <= 0:
            raise TimeoutError
        self._connection.settimeout(left_s)


class _Reader(io.RawIOBase):
    """The receiving side as a raw stream."""

    def __init__(self, source: TimedSocket) -> None:
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._source.receive_into(buffer)
