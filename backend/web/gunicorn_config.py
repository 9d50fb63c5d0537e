"""How gunicorn runs the web process: ``-c python:backend.web.gunicorn_config``.

One process with many threads: every live connection holds one, so there are more threads than
connections are allowed, and plain requests are always answered.
"""

from __future__ import annotations

import atexit
import gc
import os
import socket
import struct
import threading
from pathlib import Path
from typing import Any

from backend.jobs.freed_memory import FreedMemory
from backend.settings import Settings
from backend.web.api.metrics import count_stored_runs
from backend.web.request_log import logging_config

_settings = Settings.from_env()
_host = f"[{_settings.host}]" if ":" in _settings.host else _settings.host

bind = f"{_host}:{_settings.port}"
worker_class = "backend.web.paced_worker.PacedWorker"
workers = 1
threads = _settings.web_threads
worker_connections = _settings.web_threads + 1000
backlog = 1024
timeout = 60
graceful_timeout = 8
keepalive = 15
accesslog = None
errorlog = "-"
loglevel = _settings.log_level.lower()
logconfig_dict = logging_config(_settings.log_level)
control_socket_disable = True
limit_request_line = 4094
limit_request_fields = 64
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108
proc_name = "meshkiln-web"
chdir = str(Path(__file__).resolve().parents[2])

WATCH_S = 0.2
IO_TIMEOUT_S = 30

atexit.register(gc.freeze)  # what ends needs no collecting, which would take it half a second


def post_worker_init(worker: Any) -> None:
    """Start the reconciler, and a watch that closes live connections when the worker stops."""
    _limit_io(worker)
    extensions = worker.wsgi.extensions
    extensions["meshkiln"].start_background()
    FreedMemory().start()
    threading.Thread(
        target=count_stored_runs, args=(worker.wsgi,), name="count-runs", daemon=True
    ).start()
    threading.Thread(
        target=_watch, args=(worker, extensions), name="stop-watch", daemon=True
    ).start()


def worker_exit(_server: Any, worker: Any) -> None:
    """Close what is still open."""
    app = getattr(worker, "wsgi", None)
    if app is not None:
        app.extensions["meshkiln.live"].stopping.set()
        app.extensions["meshkiln"].close()


def _limit_io(worker: Any) -> None:
    """Let every single read and write of a connection take 30 s at most.

    gunicorn has no such limit: a client that never reads would hold its thread for ever. What was
    sent must have arrived as soon, or an event stream to a machine without a cable would go on
    until the kernel gives up after a quarter of an hour. Accepted connections inherit the limits
    of the listening socket.
    """
    limit = struct.pack("ll", IO_TIMEOUT_S, 0)
    for listener in worker.sockets:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        option = getattr(socket, "TCP_USER_TIMEOUT", None)  # only Linux has it
        if option is not None and listener.family in (socket.AF_INET, socket.AF_INET6):
            listener.setsockopt(socket.IPPROTO_TCP, option, IO_TIMEOUT_S * 1000)


def _watch(worker: Any, extensions: dict[str, Any]) -> None:
    """End sockets (1012) and event streams as soon as the worker is told to stop.

    Without this they would keep it waiting for the whole grace period.
    """
    pause = threading.Event()
    while worker.alive:
        pause.wait(WATCH_S)
    extensions["meshkiln.live"].stopping.set()
    extensions["meshkiln"].hub.close()
