"""One child per GPU: a file lock that the kernel frees however the child ends."""

from __future__ import annotations

import fcntl
import threading
from pathlib import Path
from typing import TextIO

from backend.errors import StartFailed
from backend.units import Clock, SystemClock

WAIT_S, LOOK_S = 20.0, 0.1


class GpuOwnership:
    """Holds a GPU for this process until it ends.

    Parameters
    ----------
    folder : Path
        Where the lock lies; one folder per server.
    gpu : str
        UUID or index of the GPU.
    """

    def __init__(self, folder: Path, gpu: str, clock: Clock | None = None) -> None:
        self._path = folder / f"{gpu.replace('/', '_')}.lock"
        self._clock = clock or SystemClock()
        self._file: TextIO | None = None

    def take(self, wait_s: float = WAIT_S) -> None:
        """Wait for the GPU.

        Raises
        ------
        StartFailed
            Another child still holds it: two managers of one card would not know of each other.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lock = self._path.open("a+")
        deadline_s = self._clock.monotonic_s() + wait_s
        pause = threading.Event()
        while not _try_lock(lock):
            if self._clock.monotonic_s() >= deadline_s:
                lock.close()
                raise StartFailed(
                    f"Another worker of this server still holds the GPU {self._path.stem}.",
                    advice="Wait for it to end, or end it; the next start takes over by itself.",
                )
            pause.wait(LOOK_S)
        self._file = lock

    def give_up(self) -> None:
        """Free the GPU before the process ends."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _try_lock(lock: TextIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise StartFailed(
            f"The lock {lock.name} cannot be taken: {error.strerror}.",
            advice="Keep the data folder on a local disk.",
        ) from error
    return True
