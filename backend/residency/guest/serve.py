"""The guest's side of the conversation: one thread listens, the main thread works.

Orders are carried out one after the other. While one is under way the listener still answers how
much memory is held, and notes that a call is canceled; when the host hangs up, the process ends.
"""

from __future__ import annotations

import ctypes
import faulthandler
import logging
import os
import queue
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

from . import hooks
from .frames import BrokenFrame, Channel, Closed, Frame
from .memory import figures, is_out_of_memory, words_of
from .program import Program
from .values import CannotPass
from .weights import empty_cache

PR_SET_PDEATHSIG = 1
END_GRACE_S = 2.0
LONGEST_MESSAGE, LONGEST_TRACEBACK = 4000, 20_000
PROTOCOL_FAULT = 70

log = logging.getLogger("meshkiln_guest")


class Guest:
    """Carries out what the host orders.

    Parameters
    ----------
    channel : Channel
        To the host.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._orders: queue.SimpleQueue[Frame | None] = queue.SimpleQueue()
        self._program: Program | None = None
        self._calls: dict[int, hooks.Call] = {}
        self._carry_out: dict[str, Callable[[Any], Any]] = {
            "load": self._load,
            "call": self._call,
            "pin": lambda size: self._ready().pin(size),
            "to_device": lambda _: self._ready().to_device(),
            "to_host": lambda _: self._ready().to_host(),
        }

    def run(self) -> None:
        """Work until the host hangs up."""
        threading.Thread(target=self._listen, name="meshkiln-listener", daemon=True).start()
        while True:
            order = self._orders.get()
            if order is None:
                return
            try:
                self._answer(order)
            except Closed:
                return
            finally:
                self._calls.pop(order.number, None)
                hooks.begin(None)
                del order

    def _listen(self) -> None:
        """Read orders; answer here what must not wait for the work under way."""
        code = 0
        try:
            while True:
                self._take(self._channel.receive())
        except Closed:
            pass
        except Exception as error:  # noqa: BLE001  nobody knows what follows a broken frame
            sys.stderr.write(f"meshkiln: the conversation broke: {error}\n")
            code = PROTOCOL_FAULT
        self._orders.put(None)
        threading.Event().wait(END_GRACE_S if code == 0 else 0.0)
        os._exit(code)  # the work under way is not wanted any more, and may never end

    def _take(self, frame: Frame) -> None:
        if frame.kind == "cancel":
            call = self._calls.get(frame.number)
            if call is not None:
                call.canceled = True
        elif frame.kind == "memory":
            self._channel.send("result", frame.number, memory=self._figures())
        elif frame.kind in self._carry_out:
            number = frame.number
            self._calls[number] = hooks.Call(
                lambda done, total: self._channel.send("progress", number, done=done, total=total)
            )
            self._orders.put(frame)
        else:
            raise BrokenFrame(f"unknown order {frame.kind!r}")

    def _answer(self, order: Frame) -> None:
        number = order.number
        hooks.begin(self._calls.get(number))
        failure: dict[str, Any] | None = None
        try:
            result = self._carry_out[order.kind](order.value())
            order.buffers = []
            self._channel.send("result", number, result, "the result", memory=self._figures())
        except Closed:
            raise
        except hooks.Canceled:
            failure = {"canceled": True, "type": "Canceled", "message": "", "traceback": ""}
        except BaseException as error:  # noqa: BLE001  it is the host's to judge, SystemExit too
            failure = _describe(error, order.kind)
        if failure is not None:
            # out of the except block, else the failed frames would keep their tensors alive
            if failure.get("out_of_memory"):
                empty_cache(sys.modules.get("torch"))
            self._channel.send("error", number, memory=self._figures(), **failure)

    def _load(self, order: Any) -> Any:
        setattr(sys.modules[__package__], "device", order["device"])  # noqa: B010  a module's own
        self._program = Program(order)
        return self._program.facts()

    def _call(self, order: Any) -> Any:
        return self._ready().call(order["method"], order["args"], order["kwargs"])

    def _ready(self) -> Program:
        if self._program is None:
            raise RuntimeError("the program was not loaded")
        return self._program

    def _figures(self) -> dict[str, int]:
        return self._program.figures() if self._program is not None else figures()


def _describe(error: BaseException, kind: str) -> dict[str, Any]:
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    missing = getattr(error, "name", None) if isinstance(error, ImportError) else None
    return {
        "type": type(error).__name__,
        "message": words_of(error)[:LONGEST_MESSAGE],
        "traceback": text[-LONGEST_TRACEBACK:],
        "missing": None if missing is None else str(missing),
        "out_of_memory": is_out_of_memory(error),
        "cannot_pass": isinstance(error, CannotPass),
        "canceled": False,
        "during": kind,
    }


def _die_with(parent: int) -> None:
    """End when the host's process ends, even by kill -9; EOF on the socket says so as well."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def main(descriptor: int, parent: int) -> None:
    """Serve on an inherited socket until the host hangs up."""
    _die_with(parent)
    faulthandler.enable()
    sys.argv = ["meshkiln-guest"]
    sock = socket.socket(fileno=descriptor)
    sock.set_inheritable(False)
    Guest(Channel(sock)).run()
    sys.exit(0)
