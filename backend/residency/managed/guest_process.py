"""The process of a hosted program: started by a thread that outlives it, watched, ended whole."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import socket
import struct
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from backend.errors import EngineUnavailable
from backend.residency.guest import frames

BOOT = Path(frames.__file__).with_name("boot.py")
TAIL_LINES = 20
TOLD_LINES = 8
CRASHED_AT = "Current thread 0x"  # how Python begins to say where it crashed
LONGEST_LINE = 2000
START_TIMEOUT_S = 30.0
OUTPUT_GRACE_S = 1.0
SEND_TIMEOUT_S = 60
_SECRET = re.compile(
    r"TOKEN|SECRET|PASSW|CREDENTIAL|PRIVATE|API_?KEY|ACCESS_?KEY|AUTH|COOKIE|DSN", re.IGNORECASE
)
_OURS = ("MESHKILN_", "PYTHON", "CELERY", "FLASK_", "GUNICORN", "OTEL_", "VIRTUAL_ENV")
_ADDRESSES = frozenset({"REDIS_URL", "DATABASE_URL", "BROKER_URL"})

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class GuestCommand:
    """What to start.

    Parameters
    ----------
    name : str
        Of the engine, in logs.
    python : Path
        Its interpreter.
    env : mapping
        Variables beside those of this process that are safe to hand on.
    cwd : Path, optional
        Where it runs; here unless given.
    """

    name: str
    python: Path
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None


class GuestProcess:
    """A process in a group of its own with one socket to it.

    Parameters
    ----------
    on_end : callable
        Called once, from the watching thread, after the process and all it started are gone.

    Raises
    ------
    EngineUnavailable
        It cannot be started.
    """

    def __init__(self, command: GuestCommand, on_end: Callable[[GuestProcess], None]) -> None:
        self.command = command
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self.exit_code: int | None = None
        self.ended = threading.Event()
        self._on_end = on_end
        self._ready = threading.Event()
        self._failure: Exception | None = None
        self._process: subprocess.Popen[bytes] | None = None
        ours, self._theirs = socket.socketpair()
        # no sender waits for ever for a process that does not read
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", SEND_TIMEOUT_S, 0))
        self.channel = frames.Channel(ours)
        # The thread that starts a process must live as long: the kernel ends the process with it.
        threading.Thread(target=self._watch, name=f"guest-{command.name}", daemon=True).start()
        self._ready.wait(START_TIMEOUT_S)
        if self._failure is not None:
            raise _unavailable(command, self._failure)

    @property
    def pid(self) -> int | None:
        """Number of the process; None once it has ended."""
        return None if self._process is None or self.ended.is_set() else self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return not self.ended.is_set()

    def end(self, grace_s: float) -> None:
        """Hang up, give it a moment to end by itself, then end it with all it has started."""
        self.channel.close()
        if not self.ended.wait(grace_s):
            self.kill()

    def kill(self) -> None:
        """End it now, and wait until it is gone."""
        if self._process is not None and self.exit_code is None:
            _kill_group(self._process.pid)
        self.ended.wait(START_TIMEOUT_S)

    def last_words(self) -> str:
        """Say how it ended, with the last lines of its output."""
        how = self.how_it_ended()
        return _with_lines(how, list(self.tail)[-TOLD_LINES:])

    def where_it_crashed(self) -> str:
        """Say how it ended and in which function; what it printed may tell of other calls."""
        lines = list(self.tail)
        starts = [at for at, line in enumerate(lines) if line.startswith(CRASHED_AT)]
        trace = lines[starts[-1] :][:TOLD_LINES] if starts else []
        return _with_lines(self.how_it_ended(), trace)

    def how_it_ended(self) -> str:
        """Say how it ended, by status or signal."""
        code = self.exit_code
        if code is None:
            return "it does not run"
        if code < 0:
            return f"it was ended by {_signal_name(-code)}"
        return f"it ended with exit code {code}"

    def _watch(self) -> None:
        try:
            process = self._start()
        except (OSError, ValueError) as error:
            self._failure = error
            self.ended.set()
            self.channel.close()
            self._ready.set()
            return
        finally:
            self._theirs.close()
        self._process = process
        self._ready.set()
        output = threading.Thread(target=self._keep_output, args=(process,), daemon=True)
        output.start()
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        _kill_group(process.pid)  # what it has left behind, while the number is still its own
        self.exit_code = process.wait()
        output.join(OUTPUT_GRACE_S)
        self.channel.close()
        log.info("the process of %s has ended: %s", self.command.name, self.last_words())
        self.ended.set()
        self._on_end(self)

    def _start(self) -> subprocess.Popen[bytes]:
        descriptor = self._theirs.fileno()
        command = [str(self.command.python), str(BOOT), str(descriptor), str(os.getpid())]
        return subprocess.Popen(
            command,
            env=environment(os.environ, self.command),
            cwd=self.command.cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(descriptor,),
            start_new_session=True,
        )

    def _keep_output(self, process: subprocess.Popen[bytes]) -> None:
        """Write what it says into our log; a bar that overwrites itself is a line each time."""
        stream = process.stdout
        if stream is None:
            return
        rest = b""
        with contextlib.suppress(OSError, ValueError), stream:
            while chunk := os.read(stream.fileno(), 65_536):
                *lines, rest = re.split(rb"[\r\n]+", rest + chunk)
                if len(rest) > LONGEST_LINE:
                    lines, rest = [*lines, rest], b""
                self._note(lines)
        self._note([rest])

    def _note(self, lines: Sequence[bytes]) -> None:
        for raw in lines:
            line = raw.decode("utf-8", "replace").rstrip()[:LONGEST_LINE]
            if line:
                self.tail.append(line)
                log.info("[%s] %s", self.command.name, line)


def _with_lines(how: str, lines: list[str]) -> str:
    return "\n".join([f"{how}; its last lines:", *lines]) if lines else how


def environment(ours: Mapping[str, str], command: GuestCommand) -> dict[str, str]:
    """Choose what a hosted program may see: neither our settings nor anything secret."""
    env = {
        name: value
        for name, value in ours.items()
        if not name.startswith(_OURS) and not _SECRET.search(name) and name not in _ADDRESSES
    }
    folder = command.python.parent
    env["PATH"] = os.pathsep.join([str(folder), env.get("PATH", os.defpath)])
    if (folder.parent / "pyvenv.cfg").exists():
        env["VIRTUAL_ENV"] = str(folder.parent)
    return {**env, "PYTHONUNBUFFERED": "1", **command.env}


def interpreter_of(venv: Path | str) -> Path:
    """Return the interpreter that a path names: itself, or that of a virtual environment's folder.

    Raises
    ------
    EngineUnavailable
    """
    path = Path(venv).expanduser()
    python = path / "bin" / "python" if path.is_dir() else path
    if not os.access(python, os.X_OK):
        raise EngineUnavailable(
            f"There is no Python interpreter at {python}.",
            advice="Make the program's own environment first, or name its interpreter.",
        )
    return python.absolute()  # not resolved: the link is what makes it a virtual environment


def _unavailable(command: GuestCommand, error: Exception) -> EngineUnavailable:
    return EngineUnavailable(
        f"The process of {command.name} could not be started: {error}.",
        advice=f"Check that {command.python} runs: {command.python} --version",
    )


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
