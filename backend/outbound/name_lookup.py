"""Finds the addresses of a host, without waiting longer than one is ready to."""

from __future__ import annotations

import queue
import socket
import threading

from backend.errors import UrlUnreachable

AT_A_TIME = 16

_slots = threading.BoundedSemaphore(AT_A_TIME)


def look_up(host: str, port: int, within_s: float) -> list[str]:
    """Ask the system's resolver for the IP addresses of a host.

    The resolver has no time limit that could be set, so it is asked in a thread of its own, which
    is left behind when it takes too long. At most 16 are asked at a time.

    Parameters
    ----------
    host : str
        In ASCII.
    port : int
        Where it will be called.
    within_s : float
        Seconds it may take.

    Raises
    ------
    UrlUnreachable
        There is no such host, or no answer in time.
    """
    if not _slots.acquire(timeout=max(within_s, 0.0)):
        raise UrlUnreachable("Too many names are being looked up.", retry_after_s=10)
    answers: queue.SimpleQueue[list[str] | OSError] = queue.SimpleQueue()
    threading.Thread(
        target=_ask, args=(host, port, answers), name="name-lookup", daemon=True
    ).start()
    try:
        found = answers.get(timeout=max(within_s, 0.001))
    except queue.Empty as error:
        raise UrlUnreachable(f"{host} could not be looked up in time.") from error
    if isinstance(found, OSError):
        raise UrlUnreachable(f"There is no host {host}, or it cannot be looked up.") from found
    return found


def _ask(host: str, port: int, answers: queue.SimpleQueue[list[str] | OSError]) -> None:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        answers.put(list(dict.fromkeys(str(entry[4][0]) for entry in found)))
    except OSError as error:
        answers.put(error)
    except UnicodeError:  # a label that its codec refuses
        answers.put(OSError("not a host name"))
    finally:
        _slots.release()
