"""How many live connections are open, in all and per address, and whether we are stopping."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

from backend.errors import TooManySockets
from backend.settings import Settings


class LiveConnections:
    """Counts sockets and event streams: each holds a thread of the web process.

    Parameters
    ----------
    settings : Settings
        ``max_sockets`` and ``max_sockets_per_ip``.
    """

    def __init__(self, settings: Settings) -> None:
        self._limit = settings.max_sockets
        self._limit_per_address = settings.max_sockets_per_ip
        self._open: Counter[str] = Counter()
        self._lock = threading.Lock()
        self.stopping = threading.Event()

    @property
    def count(self) -> int:
        """Number of open connections."""
        return self._open.total()

    def open(self, address: str) -> Callable[[], None]:
        """Take a place; call what is returned to give it back (more than once does no harm).

        Raises
        ------
        TooManySockets
        """
        with self._lock:
            if self._open.total() >= self._limit or self._open[address] >= self._limit_per_address:
                raise TooManySockets(retry_after_s=5)
            self._open[address] += 1
        given_back = threading.Event()

        def give_back() -> None:
            with self._lock:
                if not given_back.is_set():
                    given_back.set()
                    self._open[address] -= 1
                    self._open += Counter()  # forgets addresses without connections

        return give_back
