"""The wire between host and guest: frames of a JSON header and raw buffers over one socket.

A frame is ``MKG1``, the header's length, the header, and its buffers one after the other. Sizes are
bounded; what does not look like a frame ends the conversation, since nobody knows what follows it.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import socket
import struct
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from .values import BadValue, Packed, pack, unpack

MAGIC = b"MKG1"
PREFIX = struct.Struct("<4sI")
LARGEST_HEADER = 16 * 1024 * 1024
MOST_BUFFERS = 100_000
LARGEST_FRAME = 32 * 1024**3
JOINED_BYTES = 65_536
MAPPED_BYTES = 32 * 1024 * 1024
OFFER_WAIT_S = 0.1


class BrokenFrame(Exception):
    """What arrived is no frame."""


class Closed(Exception):
    """The other side has gone."""


@dataclass
class Frame:
    """One message.

    Parameters
    ----------
    kind : str
        What it is about.
    number : int
        The request it belongs to.
    fields : dict
        Small facts, plain JSON.
    """

    kind: str
    number: int
    fields: dict[str, Any]
    tree: Any = None
    buffers: Sequence[Any] = field(default_factory=list)

    def value(self, *, on_device: bool = False) -> Any:
        """Make the value that it carries; raises BrokenFrame.

        With ``on_device`` tensors go where they came from, if this process has such a device.
        """
        try:
            return unpack(self.tree, self.buffers, on_device=on_device)
        except BadValue as error:
            raise BrokenFrame(str(error)) from error


class Channel:
    """Sends from any thread, receives in one.

    Parameters
    ----------
    sock : socket
        A connected stream socket, which the channel owns.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._sending = threading.Lock()

    def send(
        self, kind: str, number: int = 0, value: Any = None, place: str = "value", **fields: Any
    ) -> None:
        """Send a frame.

        Raises
        ------
        CannotPass
            The value is no data; nothing was sent.
        Closed
        """
        packed = pack(value, place)
        head = header(kind, number, packed, fields)
        small = sum(len(buffer) for buffer in packed.buffers) <= JOINED_BYTES
        try:
            with self._sending:
                if small:
                    self._sock.sendall(b"".join([head, *packed.buffers]))
                    return
                self._sock.sendall(head)
                for buffer in packed.buffers:
                    self._sock.sendall(buffer)
        except OSError as error:
            raise Closed(str(error)) from error

    def offer(self, kind: str, number: int) -> bool:
        """Send a frame without a value, unless the other side reads too slowly; raises Closed.

        Returns
        -------
        bool
            Whether it was sent.
        """
        data = header(kind, number, pack(None), {})
        if not self._sending.acquire(timeout=OFFER_WAIT_S):
            return False  # something large is on its way
        try:
            self._sock.sendall(data[self._sock.send(data, socket.MSG_DONTWAIT) :])
        except BlockingIOError:
            return False
        except OSError as error:
            raise Closed(str(error)) from error
        finally:
            self._sending.release()
        return True

    def receive(self) -> Frame:
        """Wait for the next frame; raises Closed, BrokenFrame."""
        return read_frame(self._fill)

    def close(self) -> None:
        """Hang up; whoever waits in ``receive`` sees ``Closed``."""
        with contextlib.suppress(OSError):  # the other side was faster
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()

    def _fill(self, room: memoryview) -> None:
        while room:
            try:
                count = self._sock.recv_into(room)
            except OSError as error:
                raise Closed(str(error)) from error
            if not count:
                raise Closed("end of stream")
            room = room[count:]


def header(kind: str, number: int, packed: Packed, fields: dict[str, Any]) -> bytes:
    """Write the head of a frame; raises ValueError when it is larger than any may be."""
    sizes = [len(buffer) for buffer in packed.buffers]
    document = [kind, number, fields, packed.tree, sizes]
    text = json.dumps(document, separators=(",", ":"), check_circular=False).encode("ascii")
    if len(text) > LARGEST_HEADER or len(sizes) > MOST_BUFFERS or sum(sizes) > LARGEST_FRAME:
        raise ValueError("more than fits into one message: pass large data as arrays or files")
    return PREFIX.pack(MAGIC, len(text)) + text


def read_frame(fill: Any) -> Frame:
    """Read a frame with ``fill(room)``, which fills a memoryview; raises BrokenFrame."""
    start = bytearray(PREFIX.size)
    fill(memoryview(start))
    magic, size = PREFIX.unpack(start)
    if magic != MAGIC or size > LARGEST_HEADER:
        raise BrokenFrame("not a frame")
    text = bytearray(size)
    fill(memoryview(text))
    kind, number, fields, tree, sizes = _parse(text)
    buffers = []
    for size_bytes in sizes:  # one after the other: a promise of bytes alone takes no memory
        buffers.append(_room(size_bytes))
        fill(memoryview(buffers[-1]))
    return Frame(kind, number, fields, tree, buffers)


def write_frame(file: BinaryIO, value: Any, **fields: Any) -> None:
    """Write a frame into a file; raises CannotPass, ValueError, OSError."""
    packed = pack(value)
    file.write(header("entry", 0, packed, fields))
    for buffer in packed.buffers:
        file.write(buffer)


def _parse(text: bytearray) -> tuple[str, int, dict[str, Any], Any, list[int]]:
    try:
        kind, number, fields, tree, sizes = json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise BrokenFrame(f"no header: {error}") from error
    if type(kind) is not str or type(number) is not int or type(fields) is not dict:
        raise BrokenFrame("the header names no message")
    if type(sizes) is not list or len(sizes) > MOST_BUFFERS:
        raise BrokenFrame("the header names no buffers")
    if not all(type(size) is int and size >= 0 for size in sizes) or sum(sizes) > LARGEST_FRAME:
        raise BrokenFrame("the buffers are too large")
    return kind, number, fields, tree, sizes


def _room(size_bytes: int) -> Any:
    """Take memory to receive into; of a large room only what is filled comes to be."""
    return mmap.mmap(-1, size_bytes) if size_bytes >= MAPPED_BYTES else bytearray(size_bytes)
