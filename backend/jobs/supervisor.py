"""``serve``: starts Redis, web and workers, restarts what dies, stops all on Ctrl-C."""

from __future__ import annotations

import fcntl
import http.client
import os
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from types import FrameType

from sqlalchemy.exc import SQLAlchemyError

from backend.catalog import Queue
from backend.errors import StartFailed
from backend.gpu.allocator import allocator_environment
from backend.gpu.choice import CPU, choose_gpus
from backend.gpu.telemetry import VISIBLE, device_status
from backend.jobs.access.start_check import check_start
from backend.jobs.broker import redis_command, redis_url, socket_path
from backend.jobs.child_process import ChildProcess, ChildSpec
from backend.jobs.gpu_settings import forget_settings
from backend.jobs.gpu_share import share_address
from backend.jobs.left_work import LeftWork
from backend.jobs.owners import Owner, host_name
from backend.jobs.redis_url import connect
from backend.jobs.service import JobService
from backend.residency.process import degraded_reason
from backend.settings import Settings
from backend.units import Clock, SystemClock

LOOK_S = 0.1
STOP_S = 15.0
REDIS_READY_S = 15.0
FAILED_STARTS = 4
WORKER_NICENESS = 5
# Threads come and go with sockets, uploads and jobs. With an arena of memory each, and pictures
# among small objects, what they free would stay in pieces.
FEW_ARENAS = {"MALLOC_ARENA_MAX": "2"}
WEB_MEMORY = FEW_ARENAS | {"MALLOC_MMAP_THRESHOLD_": "262144"}


class Part(StrEnum):
    """What of the product a machine runs when it does not run all of it."""

    WEB = "web"
    WORKER = "worker"


def serve(settings: Settings, only: Part | None = None) -> int:
    """Run the whole product, or a part of it, until Ctrl-C or SIGTERM.

    Parameters
    ----------
    settings : Settings
        For a part, ``redis_url``, ``database_url`` and ``store_url`` must be set.
    only : Part, optional
        Run this part; others run elsewhere.

    Raises
    ------
    StartFailed
        The port is taken, the data folder is in use, a process does not come up, or keys are in
        force and there is none.
    """
    _check_folder(settings)
    share_address(settings)
    if only is not None:
        _check_shared(settings)
    if only is not Part.WORKER:  # workers listen on no address
        check_start(settings)
    with _locked(settings):
        if only is not Part.WORKER:
            _check_port(settings)
        return Supervisor(settings, only=only).run()


class Supervisor:
    """All processes of one server.

    Parameters
    ----------
    settings : Settings
        Handed to every process through its environment.
    only : Part, optional
        Run this part only.
    """

    def __init__(
        self, settings: Settings, clock: Clock | None = None, only: Part | None = None
    ) -> None:
        self._only = only
        self._own_redis = not settings.redis_url
        url = settings.redis_url or redis_url(settings.data_dir)
        self._settings = replace(settings, redis_url=url)
        self._clock = clock or SystemClock()
        self._stop = threading.Event()
        self._service: JobService | None = None
        self._left_work: LeftWork | None = None
        self._ready = False
        self._gpus = choose_gpus(settings.gpu, device_status()["devices"])
        log_dir = settings.data_dir / "logs"
        log_dir.mkdir(parents=True, exist_ok=True)
        self._children = [ChildProcess(spec, log_dir, self._clock) for spec in self._specs()]

    def run(self) -> int:
        """Start everything, watch it, stop it; returns the exit status."""
        with _signals(self._on_signal):
            try:
                self._start()
                self._watch()
            finally:
                self._shut_down()
        return 0

    def _start(self) -> None:
        for child in self._children:
            child.start()
            if child.spec.name == "redis":
                self._wait_for_redis(child)
        if not self._own_redis:
            self._wait_for_redis(None)
        if self._only is not Part.WORKER:  # the settings of one machine are not those of all
            client = connect(self._settings.redis_url, socket_timeout=5.0)
            forget_settings(client, self._settings.provenance)
            client.close()
        self._service = self._open_service()
        self._left_work = LeftWork(self._service)

    def _open_service(self) -> JobService:
        try:
            return JobService(self._settings)
        except SQLAlchemyError as error:
            raise StartFailed(
                f"The database does not answer ({type(error).__name__}).",
                advice="See that it runs, and check MESHKILN_DATABASE_URL.",
            ) from error

    def _watch(self) -> None:
        while not self._stop.wait(LOOK_S):
            for child in self._children:
                if child.has_died():
                    self._mourn(child)
                child.restart_if_due()
            if not self._ready and self._is_ready():
                self._ready = True
                self._announce()

    def _mourn(self, child: ChildProcess) -> None:
        sys.stderr.write(f"meshkiln: the process '{child.spec.name}' ended and is restarted\n")
        # What has served once is started again for ever: whatever ends it comes from outside.
        if not self._ready and child.starts >= FAILED_STARTS and not self._is_ready(0.2):
            raise StartFailed(
                f"The process '{child.spec.name}' does not come up:\n" + "\n".join(child.tail),
                advice=f"See {self._settings.data_dir / 'logs' / child.spec.name}.log",
            )
        if self._left_work and child.spec.name.endswith("worker"):
            self._left_work.tell()

    def _shut_down(self) -> None:
        self._stop.set()
        redis = [child for child in self._children if child.spec.name == "redis"]
        others = [child for child in self._children if child.spec.name != "redis"]
        deadline_s = self._clock.monotonic_s() + STOP_S
        for group in (others, redis):  # workers and web still talk to Redis while they end
            for child in group:
                child.ask_to_stop()
            for child in group:
                child.wait_stopped(deadline_s - self._clock.monotonic_s())
                child.close_log()
        if self._left_work:
            self._left_work.close()
        if self._service:
            self._service.close()
        if self._own_redis:
            shutil.rmtree(socket_path(self._settings.data_dir).parent, ignore_errors=True)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._stop.set()

    def _announce(self) -> None:
        if self._only is Part.WORKER:
            sys.stdout.write(f"Meshkiln's workers on {host_name()} are ready.\n")
            sys.stdout.flush()
            return
        host = f"[{self._settings.host}]" if ":" in self._settings.host else self._settings.host
        why = "it was asked for" if self._settings.gpu == CPU else "no NVIDIA GPU was found"
        mode = "" if self._gpus else f"  (CPU mode: {why})"
        unused = degraded_reason(self._settings)
        if unused:
            sys.stdout.write(f"meshkiln: {unused}\n")
        sys.stdout.write(f"Meshkiln is ready: http://{host}:{self._settings.port}{mode}\n")
        sys.stdout.flush()

    def _is_ready(self, timeout_s: float = 1.0) -> bool:
        if self._only is Part.WORKER:
            return self._workers_beat()
        # Without workers of its own the web process is ready when it answers.
        path = "/healthz" if self._only is Part.WEB else "/readyz"
        host = self._settings.host if self._settings.host not in ("0.0.0.0", "::") else "localhost"  # noqa: S104
        connection = http.client.HTTPConnection(host, self._settings.port, timeout=timeout_s)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _workers_beat(self) -> bool:
        """Whether a worker of each queue on this machine has spoken."""
        found = self._service.worker_status() if self._service else []
        here = {beat["queue"] for beat in found if Owner.parse(str(beat["epoch"])).is_here()}
        return here >= {queue.value for queue in Queue}

    def _wait_for_redis(self, child: ChildProcess | None) -> None:
        """Wait for our own, or for somebody else's, which may start later than we do."""
        client = connect(self._settings.redis_url, socket_timeout=1.0)
        deadline_s = self._clock.monotonic_s() + REDIS_READY_S
        pause = threading.Event()
        while not _answers(client.ping):
            late = self._clock.monotonic_s() > deadline_s
            if child and (late or child.has_died()):
                raise StartFailed("Redis does not come up:\n" + "\n".join(child.tail))
            if late:
                raise StartFailed(
                    "Redis does not answer.", advice="See that it runs, and check REDIS_URL."
                )
            pause.wait(0.02)
        client.close()

    def _specs(self) -> list[ChildSpec]:
        env = self._settings.to_env() | {"PYTHONUNBUFFERED": "1", "OMP_WAIT_POLICY": "PASSIVE"}
        specs = []
        if self._own_redis:
            folder = self._settings.data_dir
            specs.append(ChildSpec("redis", lambda: redis_command(folder), env))
        if self._only is not Part.WORKER:
            specs.append(ChildSpec("web", _web_command, env | _unless_set(WEB_MEMORY)))
        if self._only is Part.WEB:
            return specs
        no_card = env | {VISIBLE: ""}
        return [*specs, *self._gpu_workers(env), self._worker_spec(Queue.CPU, no_card, "cpu", 1)]

    def _gpu_workers(self, env: dict[str, str]) -> list[ChildSpec]:
        """One worker for each card, which sees no other; without a card one that uses none."""
        env = env | allocator_environment(os.environ) | {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
        if not self._gpus:
            cores = self._settings.cpu_workers or max(1, (os.cpu_count() or 2) // 2)
            env |= {"MESHKILN_CPU_WORKERS": str(cores)}  # they share the memory of the machine
            hidden = {VISIBLE: ""} if self._settings.gpu == CPU else {}
            return [self._worker_spec(Queue.GPU, env | hidden, "gpu", cores)]
        names = ["gpu", *(f"gpu{number}" for number in range(1, len(self._gpus)))]
        return [
            self._worker_spec(Queue.GPU, env | {VISIBLE: gpu}, name, 1)
            for name, gpu in zip(names, self._gpus, strict=True)
        ]

    def _worker_spec(
        self, queue: Queue, env: dict[str, str], name: str, concurrency: int
    ) -> ChildSpec:
        return ChildSpec(
            f"{name}-worker",
            _worker_command(queue, name, concurrency),
            env | {"MESHKILN_WORKER_QUEUE": queue.value} | _unless_set(FEW_ARENAS),
            stop_signal=signal.SIGQUIT,
            niceness=WORKER_NICENESS,
        )


def _unless_set(names: Mapping[str, str]) -> dict[str, str]:
    """Return variables with these values, or with those of whoever started the server."""
    return {name: os.environ.get(name, value) for name, value in names.items()}


def _web_command() -> list[str]:
    return [
        sys.executable, "-m", "gunicorn", "-c", "python:backend.web.gunicorn_config",
        "backend.web.app:create_app()",
    ]  # fmt: skip


def _worker_command(queue: Queue, name: str, concurrency: int) -> Callable[[], list[str]]:
    command = [
        sys.executable, "-m", "celery", "-A", "backend.jobs.worker:app", "worker",
        "-Q", queue.value, "-P", "prefork", "-c", str(concurrency), "-n", f"{name}@%h",
        "--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "INFO",
    ]  # fmt: skip
    return lambda: command


def _answers(call: Callable[[], object]) -> bool:
    import redis

    try:
        call()
    except redis.RedisError:
        return False
    return True


def _check_folder(settings: Settings) -> None:
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StartFailed(
            f"The data folder {settings.data_dir} cannot be made: {error.strerror}",
            advice="Set MESHKILN_DATA_DIR to a folder of yours.",
        ) from error


def _check_shared(settings: Settings) -> None:
    needed = {
        "MESHKILN_REDIS_URL": settings.redis_url,
        "MESHKILN_DATABASE_URL": settings.database_url,
        "MESHKILN_STORE_URL": settings.store_url,
    }
    missing = ", ".join(name for name, value in needed.items() if not value)
    if missing:
        raise StartFailed(
            f"A part of the server alone needs what it shares with the others: {missing}.",
            advice="Set them to the same values on all machines; see docs/scaling.md.",
        )


def _check_port(settings: Settings) -> None:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise StartFailed(
                f"Port {settings.port} on {settings.host} cannot be used: {error.strerror}.",
                advice=f"Stop what uses it, or start with --port {settings.port + 1}.",
            ) from error


@contextmanager
def _locked(settings: Settings) -> Iterator[None]:
    """Hold the data folder's lock; the kernel frees it when this process ends in any way."""
    with (settings.data_dir / "server.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StartFailed(
                f"Another server uses the data folder {settings.data_dir}.",
                advice="Stop it, or start with another --data-dir and --port.",
            ) from error
        yield


@contextmanager
def _signals(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
