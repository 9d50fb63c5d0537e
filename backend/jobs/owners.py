"""Who runs a job: a process, told apart from a later one with the same number."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass

import psutil

HOST_NAME_VARIABLE = "MESHKILN_HOST_NAME"


def host_name() -> str:
    """Name this machine: ``MESHKILN_HOST_NAME``, or what the system calls it.

    Two machines, or containers with process numbers of their own, must not have the same name: a
    process would be looked for where it is not, and taken for dead.
    """
    return os.environ.get(HOST_NAME_VARIABLE) or platform.node()


@dataclass(frozen=True)
class Owner:
    """A worker process.

    Parameters
    ----------
    host : str
        Machine name.
    pid : int
        Process number.
    born : int
        Start time of the process in milliseconds, so that a reused number is another owner.
    """

    host: str
    pid: int
    born: int

    @classmethod
    def this_process(cls) -> Owner:
        """Name the calling process."""
        return cls(host_name(), os.getpid(), _born(psutil.Process()))

    @classmethod
    def parse(cls, text: str) -> Owner:
        """Read what ``str(owner)`` wrote."""
        host, pid, born = text.rsplit(":", 2)
        return cls(host, int(pid), int(born))

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}:{self.born}"

    def is_here(self) -> bool:
        """Whether it runs, or ran, on this machine."""
        return self.host == host_name()

    def is_dead(self) -> bool:
        """Whether it is known to have ended; a process of another machine never is."""
        if not self.is_here():
            return False
        try:
            process = psutil.Process(self.pid)
            return _born(process) != self.born or process.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    def kill(self) -> bool:
        """Kill it if it runs here; returns whether a signal was sent."""
        if not self.is_here() or self.is_dead():
            return False
        try:
            psutil.Process(self.pid).kill()
        except psutil.NoSuchProcess:
            return False
        return True


def _born(process: psutil.Process) -> int:
    return round(process.create_time() * 1000)
