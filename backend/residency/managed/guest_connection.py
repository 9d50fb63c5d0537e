"""Requests to a hosted program: one at a time is worked on, each has its answer or its error."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Mapping
from typing import Any

from backend.errors import (
    EngineUnavailable,
    HostedEngineCrashed,
    HostedEngineFailed,
    HostedEngineSilent,
    JobCanceled,
    MeshkilnError,
    ModelLoadFailed,
    OutOfMemory,
)
from backend.residency.guest.frames import BrokenFrame, Closed, Frame
from backend.residency.guest.values import CannotPass
from backend.residency.managed.guest_process import GuestCommand, GuestProcess
from backend.residency.managed.host import CallWatcher
from backend.units import Clock, SystemClock

POLL_S = 0.1
CANCEL_GRACE_S = 5.0
PASSABLE = (
    "Pass None, numbers, text, bytes, paths, lists, tuples, dicts, numpy arrays and torch tensors."
)

WAITING = Frame("waiting", 0, {})
ENDING_S = 2.0
NO_DEVICE = "NoDevice"

log = logging.getLogger(__name__)


class NobodyWatches:
    """Takes reports of a call in which nobody is interested."""

    def check_canceled(self) -> None:
        """Let it go on."""

    def report(self, done: int, total: int | None = None) -> None:
        """Forget it."""


class GuestConnection:
    """A running process, and the requests that wait for it.

    Parameters
    ----------
    on_gone : callable
        Called when the process ended although nobody had asked it to.
    """

    def __init__(
        self,
        command: GuestCommand,
        on_gone: Callable[[], None] = lambda: None,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._on_gone = on_gone
        self._lock = threading.Lock()
        self._waiting: dict[int, queue.SimpleQueue[Frame | None]] = {}
        self._number = 0
        self._asked: int | None = None
        self._expected = False
        self.figures: Mapping[str, int] = {}
        self.figures_at_s = float("-inf")
        self.process = GuestProcess(command, self._ended)
        threading.Thread(target=self._listen, name=f"hears-{command.name}", daemon=True).start()

    @property
    def name(self) -> str:
        """Name of the engine."""
        return self.process.command.name

    @property
    def is_alive(self) -> bool:
        """Whether a request can reach it."""
        return self.process.is_alive

    def request(
        self,
        kind: str,
        value: Any = None,
        *,
        timeout_s: float | None = None,
        watcher: CallWatcher | None = None,
    ) -> Any:
        """Send a request and wait for its answer.

        Parameters
        ----------
        timeout_s : float, optional
            The process is ended when it has not answered by then.

        Raises
        ------
        HostedEngineCrashed, HostedEngineFailed, HostedEngineSilent, OutOfMemory, JobCanceled
        """
        number, answers = self._enrol()
        try:
            deadline_s = None if timeout_s is None else self._clock.monotonic_s() + timeout_s
            self._send(kind, number, value)
            return self._await(number, answers, deadline_s, watcher or NobodyWatches())
        finally:
            with self._lock:
                self._waiting.pop(number, None)

    def refresh(self, timeout_s: float) -> None:
        """Ask how much memory it holds, unless it is too busy to say in time."""
        self.figures_at_s = self._clock.monotonic_s()  # a silent one is not asked at every look
        if self._asked is not None:
            return  # questions that nobody reads would fill the wire
        number, answers = self._enrol()
        try:
            self._asked = number
            if self.process.channel.offer("memory", number):
                answers.get(timeout=timeout_s)
            else:
                self._asked = None
        except (Closed, queue.Empty):
            return
        finally:
            with self._lock:
                self._waiting.pop(number, None)

    def end(self, grace_s: float = 3.0) -> None:
        """End the process; nobody is told that it is gone."""
        self._expected = True
        self.process.end(grace_s)

    def _enrol(self) -> tuple[int, queue.SimpleQueue[Frame | None]]:
        answers: queue.SimpleQueue[Frame | None] = queue.SimpleQueue()
        with self._lock:
            self._number += 1
            self._waiting[self._number] = answers
            return self._number, answers

    def _send(self, kind: str, number: int, value: Any) -> None:
        try:
            self.process.channel.send(kind, number, value, "the argument")
        except (CannotPass, ValueError) as error:
            raise HostedEngineFailed(f"{self.name}: {error}.", advice=PASSABLE) from error
        except Closed:
            if self.process.ended.wait(ENDING_S):
                raise self._crashed() from None
            raise self._silent() from None  # it takes nothing any more

    def _await(
        self,
        number: int,
        answers: queue.SimpleQueue[Frame | None],
        deadline_s: float | None,
        watcher: CallWatcher,
    ) -> Any:
        while True:
            answer = self._next(number, answers, watcher)
            if answer is None:
                raise self._crashed()
            if answer.kind == "error":
                raise self._failed(answer.fields)
            if answer.kind == "result":
                return self._value(answer)
            if deadline_s is not None and self._clock.monotonic_s() >= deadline_s:
                raise self._silent()  # one that reports steps may never end either

    def _next(
        self, number: int, answers: queue.SimpleQueue[Frame | None], watcher: CallWatcher
    ) -> Frame | None:
        """Wait a moment for an answer; the watcher hears of it, and may end the call."""
        try:
            answer = answers.get(timeout=POLL_S)
        except queue.Empty:
            answer = WAITING
        if answer is not WAITING and (answer is None or answer.kind != "progress"):
            return answer
        try:
            watcher.check_canceled()
            if answer is not None and answer is not WAITING:
                watcher.report(answer.fields.get("done", 0), answer.fields.get("total"))
        except BaseException:
            self._cancel(number, answers)
            raise
        return answer

    def _value(self, answer: Frame) -> Any:
        try:
            return answer.value()
        except BrokenFrame as error:
            self.process.kill()
            raise HostedEngineCrashed(f"{self.name} sent what cannot be read: {error}.") from error

    def _cancel(self, number: int, answers: queue.SimpleQueue[Frame | None]) -> None:
        """Ask the program to stop; end its process when it does not in time."""
        try:
            self.process.channel.offer("cancel", number)
            deadline_s = self._clock.monotonic_s() + CANCEL_GRACE_S
            while (left_s := deadline_s - self._clock.monotonic_s()) > 0:
                answer = answers.get(timeout=left_s)
                if answer is None or answer.kind != "progress":
                    return
        except (Closed, queue.Empty):
            log.debug("%s does not stop when asked to", self.name)
        log.info("%s did not stop within %.0f s and is ended", self.name, CANCEL_GRACE_S)
        self.process.kill()

    def _listen(self) -> None:
        try:
            while True:
                self._take(self.process.channel.receive())
        except Closed:
            log.debug("%s has hung up", self.name)
            if not self._expected and not self.process.ended.wait(ENDING_S):
                self.process.kill()
        except Exception:  # what is broken here stays on the other side
            log.exception("%s sent what is no frame", self.name)
            self.process.kill()

    def _take(self, frame: Frame) -> None:
        if frame.number == self._asked:
            self._asked = None
        figures = frame.fields.get("memory")
        if isinstance(figures, dict):
            self.figures = figures
            self.figures_at_s = self._clock.monotonic_s()
        with self._lock:
            answers = self._waiting.get(frame.number)
        if answers is not None:
            answers.put(frame)

    def _ended(self, process: GuestProcess) -> None:
        with self._lock:
            waiting = list(self._waiting.values())
        for answers in waiting:
            answers.put(None)
        if not self._expected:
            log.warning("%s is gone: %s", process.command.name, process.last_words())
            self._on_gone()

    def _crashed(self) -> HostedEngineCrashed:
        self.process.ended.wait(ENDING_S)
        is_loading = self._number <= 1  # all that it wrote is about itself then
        told = self.process.last_words() if is_loading else self.process.where_it_crashed()
        return HostedEngineCrashed(f"{self.name}: {told}")

    def _silent(self) -> HostedEngineSilent:
        self.process.kill()
        return HostedEngineSilent(f"{self.name} did not answer in time and was ended.")

    def _failed(self, fields: Mapping[str, Any]) -> MeshkilnError:
        if fields.get("canceled"):
            return JobCanceled()
        said = f"{self.name}: {fields.get('type')}: {fields.get('message')}"
        message = said.encode("utf-8", "replace").decode()  # half a character fits in no database
        log.info("%s\n%s", message, fields.get("traceback"))
        if fields.get("out_of_memory"):
            return OutOfMemory(message)
        if fields.get("during") == "load":
            return self._load_failed(message, fields)
        return HostedEngineFailed(message, advice=PASSABLE if fields.get("cannot_pass") else None)

    def _load_failed(self, message: str, fields: Mapping[str, Any]) -> MeshkilnError:
        python = self.process.command.python
        if fields.get("missing"):
            package = str(fields["missing"]).partition(".")[0]
            return EngineUnavailable(
                message,
                advice=f"Its environment or its folder lacks {package}; a package is installed "
                f"with: {python} -m pip install {package}",
            )
        if fields.get("type") == NO_DEVICE:
            return EngineUnavailable(message, advice=f"Install a torch with CUDA for {python}.")
        return ModelLoadFailed(message, advice="Its traceback is in the server's log.")
