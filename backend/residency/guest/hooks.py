"""What a hosted program can tell its host, and ask it, while a call runs."""

from __future__ import annotations

import time
from collections.abc import Callable

REPORT_EVERY_S = 0.05


class Canceled(BaseException):
    """The user asked to stop; not an ``Exception``, so that no program takes it for a fault."""


class Call:
    """The call under way.

    Parameters
    ----------
    send : callable
        Takes a progress report (done, total) to the host.
    """

    def __init__(self, send: Callable[[int, int | None], None]) -> None:
        self.canceled = False
        self._send = send
        self._reported_s = float("-inf")

    def report(self, done: int, total: int | None) -> None:
        """Send a report unless one was sent just now; the last step is never held back."""
        now_s = time.monotonic()
        if done == total or now_s - self._reported_s >= REPORT_EVERY_S:
            self._reported_s = now_s
            self._send(done, total)


_call: Call | None = None
_before_offload: list[Callable[[], object]] = []


def begin(call: Call | None) -> None:
    """Make a call the current one; None ends it."""
    global _call
    _call = call


def report(done: int, total: int | None = None) -> None:
    """Say how far the call is; ``total`` is None where nobody knows it.

    Outside of a call, and in a process of its own without a host, it does nothing.

    Raises
    ------
    Canceled
        The user asked to stop; let it pass.
    """
    call = _call
    if call is None:
        return
    if call.canceled:
        raise Canceled
    call.report(int(done), None if total is None else int(total))


def is_canceled() -> bool:
    """Whether the call under way is no longer wanted."""
    call = _call
    return call is not None and call.canceled


def on_offload(callback: Callable[[], object]) -> None:
    """Have something called each time before the weights leave the device.

    Caches of keys and values, CUDA graphs and other holders of device memory go there.
    """
    _before_offload.append(callback)


def run_before_offload() -> list[str]:
    """Call all that was declared; returns the faults, which must not keep the weights there."""
    faults = []
    for callback in _before_offload:
        try:
            callback()
        except Exception as error:  # noqa: BLE001  reported, see above
            faults.append(f"{type(error).__name__}: {error}")
    return faults
