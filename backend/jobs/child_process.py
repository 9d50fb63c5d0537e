"""One supervised process: started, its output kept in a bounded log, restarted, stopped."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import logging.handlers
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from backend.units import Clock

PR_SET_PDEATHSIG = 1
# Loaded before any fork: a lock of the loader that another thread holds stays held in the child.
LIBC = ctypes.CDLL(None)
LOG_BYTES = 5_000_000
LOG_FILES = 3
TAIL_LINES = 15
PAUSES_S = (0.1, 0.5, 1.0, 2.0, 5.0)
STEADY_S = 10.0


@dataclass(frozen=True)
class ChildSpec:
    """What to run and how to stop it.

    Parameters
    ----------
    name : str
        Name in logs.
    command : callable
        Makes the command line anew at each start.
    stop_signal : int
        Asks it to end well.
    niceness : int
        How far it stands back for others; workers do, so that pages answer while they compute.
    """

    name: str
    command: Callable[[], list[str]]
    env: Mapping[str, str]
    stop_signal: int = signal.SIGTERM
    niceness: int = 0


class ChildProcess:
    """A process in a group of its own, so that nothing of it is left behind.

    Parameters
    ----------
    spec : ChildSpec
        What to run.
    log_dir : Path
        Folder of ``<name>.log``.
    clock : Clock
        Measures uptimes and pauses.
    """

    def __init__(self, spec: ChildSpec, log_dir: Path, clock: Clock) -> None:
        self.spec = spec
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self.starts = 0
        self._clock = clock
        self._process: subprocess.Popen[str] | None = None
        self._started_s = 0.0
        self._restart_at_s: float | None = None
        self._failures = 0
        self._log = logging.getLogger(f"child.{spec.name}.{id(self)}")
        self._log.propagate = False
        handler = logging.handlers.RotatingFileHandler(
            log_dir / f"{spec.name}.log", maxBytes=LOG_BYTES, backupCount=LOG_FILES
        )
        self._log.addHandler(handler)
        self._log.setLevel(logging.INFO)

    @property
    def pid(self) -> int | None:
        """Number of the running process."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start it now."""
        self._process = subprocess.Popen(
            self.spec.command(),
            env={**os.environ, **self.spec.env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            preexec_fn=self._before_exec,
        )
        self._started_s = self._clock.monotonic_s()
        self._restart_at_s = None
        self.starts += 1
        threading.Thread(target=self._keep_output, args=(self._process,), daemon=True).start()

    def has_died(self) -> bool:
        """Whether it has just ended; its group is killed and a restart is planned."""
        if self._process is None or self._process.poll() is None:
            return False
        self._kill_group()
        now_s = self._clock.monotonic_s()
        self._failures = 0 if now_s - self._started_s > STEADY_S else self._failures + 1
        self._restart_at_s = now_s + PAUSES_S[min(self._failures, len(PAUSES_S) - 1)]
        self._process = None
        return True

    def restart_if_due(self) -> None:
        """Start it again once the pause is over."""
        if self._restart_at_s is not None and self._clock.monotonic_s() >= self._restart_at_s:
            self.start()

    def ask_to_stop(self) -> None:
        """Send the stop signal."""
        self._restart_at_s = None
        if self._process and self._process.poll() is None:
            self._process.send_signal(self.spec.stop_signal)

    def wait_stopped(self, timeout_s: float) -> None:
        """Wait for the end, then kill what is left of the group."""
        if self._process is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=max(0.1, timeout_s))
        self._kill_group()
        self._process.wait()
        self._process = None

    def close_log(self) -> None:
        """Close the log file."""
        for handler in list(self._log.handlers):
            handler.close()
            self._log.removeHandler(handler)

    def _before_exec(self) -> None:
        """Stop when the supervisor dies, even by kill -9, and stand back as far as asked."""
        if sys.platform == "linux":
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        os.nice(self.spec.niceness)

    def _kill_group(self) -> None:
        if self._process:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _keep_output(self, process: subprocess.Popen[str]) -> None:
        if process.stdout is None:
            return
        for raw in process.stdout:
            line = raw.rstrip("\n")
            self.tail.append(line)
            self._log.info(line)
            if " ERROR " in line or " CRITICAL " in line:
                sys.stderr.write(f"[{self.spec.name}] {line}\n")
        process.stdout.close()
