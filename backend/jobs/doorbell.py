"""Celery rings; the row tells what there is to do.

A message carries nothing but the name of a queue and, in its headers, a trace. A lost one is rung
again by the reconciler, a surplus one ends in an empty claim.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError

from backend.catalog import Queue
from backend.jobs.bell_transport import use_bell_transport
from backend.jobs.redis_url import CONNECT_TIMEOUT_S, broker_url

DRAIN = "meshkiln.drain"
SOFT_SHUTDOWN_S = 5.0
CHILD_START_S = 60.0  # drivers take their time, and so may the child that still holds the card
PUBLISH_TIMEOUT_S = 2.0

log = logging.getLogger(__name__)


def celery_app(redis_url: str) -> Celery:
    """Make the Celery application of all processes.

    The choices are measured: late acknowledgement with a spawned child that may be killed, short
    visibility because a second bell is harmless, socket timeouts so that no publish hangs.
    """
    use_bell_transport()
    app = Celery("meshkiln", broker=broker_url(redis_url), set_as_current=False)
    app.conf.update(
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "visibility_timeout": 300,
            "unacked_restore_interval": 1,
            "unacked_restore_throttle": 5,
            "socket_timeout": 10,
            "socket_connect_timeout": CONNECT_TIMEOUT_S,
            "socket_keepalive": not redis_url.startswith("unix:"),
            "health_check_interval": 10,
            "retry_on_timeout": True,
        },
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_ignore_result=True,
        task_default_queue=Queue.GPU.value,
        task_create_missing_queues=True,
        task_soft_time_limit=None,
        task_time_limit=None,
        worker_pool="prefork",
        worker_pool_start_method="spawn",
        worker_prefetch_multiplier=1,
        worker_proc_alive_timeout=CHILD_START_S,
        worker_soft_shutdown_timeout=SOFT_SHUTDOWN_S,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_hijack_root_logger=False,
        worker_send_task_events=False,
        worker_enable_remote_control=False,
    )
    return app


class Doorbell:
    """Rings queues.

    Parameters
    ----------
    app : Celery
        From ``celery_app``.
    """

    def __init__(self, app: Celery) -> None:
        self._app = app

    def ring(self, queue: str, trace: Mapping[str, str] | None = None) -> bool:
        """Wake the workers of a queue; False when Redis does not answer.

        Never blocks for more than the socket timeouts: the reconciler rings again. ``trace`` goes
        with the message as its headers, for tools that follow messages.
        """
        try:
            with self._app.connection_for_write(
                connect_timeout=CONNECT_TIMEOUT_S, transport_options=self._options()
            ) as connection:
                self._app.send_task(
                    DRAIN,
                    args=(queue,),
                    queue=queue,
                    retry=False,
                    connection=connection,
                    headers=dict(trace or {}),
                )
        except (OperationalError, OSError) as error:
            log.warning("queue %s could not be rung, the reconciler will (%s)", queue, error)
            return False
        return True

    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = dict(self._app.conf.broker_transport_options)
        return options | {"socket_timeout": PUBLISH_TIMEOUT_S, "max_retries": 0}
