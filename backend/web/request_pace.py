"""How long a client that sends a request slowly may keep a thread waiting."""

from __future__ import annotations

PATIENCE_S = 15.0
LEAST_BYTES_PER_S = 1000


class RequestPace:
    """The time a client may still keep us waiting.

    The whole head has 15 s. A body has 15 s too, but each byte of it gives a millisecond back, so
    whoever sends 1 kB/s is never cut. No more than 15 s are ever saved up: after a fast start,
    silence is not paid for. Only waiting for the client counts, not what we do with its bytes.
    """

    def __init__(self) -> None:
        self.begin_head()

    @property
    def left_s(self) -> float:
        """Seconds we still wait for the next bytes."""
        return self._left_s

    def begin_head(self) -> None:
        """Start a request."""
        self._left_s = PATIENCE_S
        self._earned_s_per_byte = 0.0

    def begin_body(self) -> None:
        """Start its body: from now on bytes earn time."""
        self._left_s = PATIENCE_S
        self._earned_s_per_byte = 1 / LEAST_BYTES_PER_S

    def wait(self, elapsed_s: float) -> None:
        """Take off time that was spent on waiting."""
        self._left_s = max(0.0, self._left_s - elapsed_s)

    def receive(self, size_bytes: int) -> None:
        """Give time back for bytes that came."""
        self._left_s = min(PATIENCE_S, self._left_s + size_bytes * self._earned_s_per_byte)
