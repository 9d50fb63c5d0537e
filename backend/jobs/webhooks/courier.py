"""Carries webhooks: looks every second, makes a few calls at a time, one to each receiver."""

from __future__ import annotations

import logging
import threading

from sqlalchemy.exc import SQLAlchemyError

from backend.errors import MeshkilnError
from backend.jobs.webhooks.deliveries import Deliveries, Delivery, Outcome
from backend.jobs.webhooks.sender import Sender

LOOK_S = 1.0
AT_A_TIME = 4

log = logging.getLogger(__name__)


class Courier:
    """A thread that looks for webhooks that are due, and threads that carry them.

    Parameters
    ----------
    deliveries : Deliveries
        What is due.
    sender : Sender
        Makes the calls.
    """

    def __init__(self, deliveries: Deliveries, sender: Sender) -> None:
        self._deliveries = deliveries
        self._sender = sender
        self._stop = threading.Event()
        self._look = threading.Event()
        self._slots = threading.Semaphore(AT_A_TIME)
        self._lock = threading.Lock()
        self._busy_hosts: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="webhook-courier", daemon=True)

    def start(self) -> None:
        """Start looking."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more; a call on its way is repeated by whoever starts next."""
        self._stop.set()
        self._look.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def carry_next(self) -> bool:
        """Carry what is due, if anything is; returns whether there was something."""
        delivery = self._deliveries.take()
        if delivery is not None:
            self._carry(delivery)
        return delivery is not None

    def _run(self) -> None:
        while not self._stop.is_set():
            self._look.clear()
            try:
                while not self._stop.is_set() and self._start_next():
                    pass
            except (SQLAlchemyError, OSError):
                log.exception("the courier will look again")
            self._look.wait(LOOK_S)

    def _start_next(self) -> bool:
        """Carry what is due in a thread of its own; False when nothing is, or nobody is free."""
        if not self._slots.acquire(blocking=False):
            return False
        delivery = None
        try:
            with self._lock:
                busy = frozenset(self._busy_hosts)
            delivery = self._deliveries.take(busy)
        finally:
            if delivery is None:
                self._slots.release()
        if delivery is None:
            return False
        with self._lock:
            self._busy_hosts.add(delivery.host)
        threading.Thread(
            target=self._carry_and_free, args=(delivery,), name="webhook", daemon=True
        ).start()
        return True

    def _carry_and_free(self, delivery: Delivery) -> None:
        try:
            self._carry(delivery)
        except (SQLAlchemyError, OSError):
            log.exception("webhook %s will be sent again", delivery.id)
        finally:
            with self._lock:
                self._busy_hosts.discard(delivery.host)
            self._slots.release()
            self._look.set()  # the next one for this receiver may be due

    def _carry(self, delivery: Delivery) -> None:
        try:
            outcome = self._sender.send(delivery)
        except MeshkilnError as error:
            outcome = Outcome(None, error.detail)
        state = self._deliveries.report(delivery, outcome)
        result = outcome.status or outcome.error
        log.info("webhook %s, attempt %d: %s", delivery.id, delivery.attempt, result)
        if state is None:
            log.warning("webhook %s was carried by somebody else too", delivery.id)
