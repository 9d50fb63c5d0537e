"""The Celery worker: ``celery -A backend.jobs.worker:app worker -Q gpu -P prefork -c 1``.

The parent only passes bells on. Everything that computes is imported in the child.
"""

from __future__ import annotations

import atexit
import gc
import logging
import os
from typing import TYPE_CHECKING, Any

from celery.signals import setup_logging, worker_process_init, worker_process_shutdown

from backend.catalog import Queue
from backend.jobs.doorbell import DRAIN, celery_app
from backend.settings import Settings

if TYPE_CHECKING:
    from backend.jobs.worker_child import WorkerChild

QUEUE_VARIABLE = "MESHKILN_WORKER_QUEUE"

log = logging.getLogger(__name__)
settings = Settings.from_env()
app = celery_app(settings.redis_url)
_child: WorkerChild | None = None
atexit.register(gc.freeze)  # what ends needs no collecting, which would take it 0.2 s


def configure_logging(**_: Any) -> None:
    """Write plain lines to standard error; the supervisor keeps them."""
    logging.basicConfig(
        level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )


def start_child(**_: Any) -> None:
    """Build the child's state once, in the child."""
    from backend.jobs.worker_child import WorkerChild

    global _child
    configure_logging()
    try:
        _child = WorkerChild(settings, os.environ.get(QUEUE_VARIABLE, Queue.GPU.value))
    except Exception:  # Celery would swallow it and keep a child that hears nothing
        log.critical("this worker child cannot start", exc_info=True)
        os._exit(1)  # the parent starts another, which tries again


def end_child(exitcode: int, **_: Any) -> None:
    """End the child when it is told to; left alone, it would sleep for a second first."""
    os._exit(exitcode)


setup_logging.connect(configure_logging, weak=False)
worker_process_init.connect(start_child, weak=False)
worker_process_shutdown.connect(end_child, weak=False)


@app.task(name=DRAIN, ignore_result=True)  # type: ignore[untyped-decorator]
def drain(_queue: str) -> int:
    """Run what waits; the argument only names the bell."""
    if _child is None:
        raise RuntimeError("the bell rang outside a worker child")
    return _child.drain()
