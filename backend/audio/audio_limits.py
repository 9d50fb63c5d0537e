"""How much of a recording is read before it is refused."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AudioLimits:
    """Limits of reading.

    Parameters
    ----------
    longest_s, shortest_s : float
        Length of the recording.
    most_bytes : int
        Size of the file.
    lowest_hz, highest_hz : int
        Samples per second.
    channels : int
        Most channels.
    quietest : float
        Root of the mean square, full scale being 1, below which a recording is silence.
    """

    longest_s: float = 30.0
    shortest_s: float = 0.5
    most_bytes: int = 32 << 20
    lowest_hz: int = 4000
    highest_hz: int = 192_000
    channels: int = 8
    quietest: float = 0.0005
