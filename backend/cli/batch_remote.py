"""A batch on a running server: send, follow, fetch."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from backend.cli.batch_ledger import Ledger, Picture
from backend.cli.batch_progress import BatchLine, Standing
from backend.cli.batch_server import BatchServer, NoneAccepted, ServerBusy, ServerRefused
from backend.cli.remote import RECONNECTS
from backend.errors import WorkerOffline
from backend.units import MB

PER_REQUEST = 100
BYTES_PER_REQUEST = 64 * MB  # a request is made in memory
POLL_S = 1.0
COME_BACK_S = 5.0
_NO_ROOM = frozenset({"queue-full", "quota-exceeded"})
_OPEN = frozenset({"queued", "running", "canceling"})


def process_on_server(
    server: str,
    name: str,
    todo: Sequence[Picture],
    params: dict[str, Any],
    ledger: Ledger,
    line: BatchLine,
) -> None:
    """Send pictures in batches, follow them, and fetch what they become.

    Parameters
    ----------
    server : str
        Its address.
    name : str
        What the batches are called there.
    todo : sequence of Picture
        What is missing here; what the server has of it already is not sent again.
    params : dict
        Of the pipeline.
    ledger : Ledger
        Where outcomes are noted.
    line : BatchLine
        Shows how far it is.

    Raises
    ------
    WorkerOffline
        The server has been silent for half a minute.
    ServerRefused
        It takes no batch of this kind.
    """
    _Errand(BatchServer(server), name, todo, params, ledger, line).run()


class _Errand:
    """One run of the command against one server."""

    def __init__(
        self,
        server: BatchServer,
        name: str,
        todo: Sequence[Picture],
        params: dict[str, Any],
        ledger: Ledger,
        line: BatchLine,
    ) -> None:
        self._server = server
        self._name = name
        self._todo = {picture.name: picture for picture in todo}
        self._params = params
        self._ledger = ledger
        self._line = line
        self._unsent: list[Picture] = []
        self._settled: dict[str, bool] = {}
        self._not_before_s = 0.0

    def run(self) -> None:
        """Send and fetch until every picture is settled."""
        silent = 0
        self._unsent = self._not_sent_before()
        while self._unsent or self._ledger.sent:
            try:
                self._send_next()
                self._look()
                silent = 0
            except WorkerOffline:  # it may be starting again; what was sent waits for it
                silent += 1
                if silent > RECONNECTS:
                    raise
            if self._unsent or self._ledger.sent:
                time.sleep(POLL_S)

    def _not_sent_before(self) -> list[Picture]:
        """Leave out what an earlier run has sent, as it is now, and the server still knows."""
        known: set[str] = set()
        for address, named in list(self._ledger.sent.items()):
            try:
                self._server.batch(address)
            except ServerRefused:
                del self._ledger.sent[address]
                continue
            known |= {name for name, fingerprint in named.items() if self._is(name, fingerprint)}
        self._ledger.save()
        return [picture for picture in self._todo.values() if picture.name not in known]

    def _is(self, name: str, fingerprint: str) -> bool:
        return name in self._todo and self._todo[name].fingerprint == fingerprint

    def _send_next(self) -> None:
        """Send as many as fit into one request, once the server takes them."""
        if not self._unsent or time.monotonic() < self._not_before_s:
            return
        chunk = first_chunk(self._unsent)
        try:
            batch = self._server.send(self._name, chunk, self._params, self._ledger.key(chunk))
        except ServerBusy as error:
            self._come_back(error.retry_after_s)
            return
        except NoneAccepted as error:
            self._unsent = self._unsent[len(chunk) :]
            for picture, told in zip(chunk, error.fields, strict=True):
                self._fail(picture.name, told.detail.removeprefix(f"{picture.name}: "), None)
            return
        self._unsent = self._unsent[len(chunk) :]
        address = self._server.url(batch["links"]["self"])
        self._ledger.sent[address] = {picture.name: picture.fingerprint for picture in chunk}
        self._ledger.save()

    def _look(self) -> None:
        """Fetch what has been made since, and show where the batches are."""
        running, rate = 0, 0.0
        for address, named in list(self._ledger.sent.items()):
            batch = self._server.batch(address)
            open_items = [item for item in batch["items"] if not self._settle(item, named)]
            if not open_items:
                del self._ledger.sent[address]
                self._ledger.save()
            running += batch["counts"]["running"]
            if batch["status"] == "running":
                rate += batch["jobs_per_min"] or 0.0
        self._show(running, rate or None)

    def _settle(self, item: dict[str, Any], named: dict[str, str]) -> bool:
        """Take the result of an item, if there is one; returns whether it is done with."""
        name, status = item["custom_id"], item["status"]
        if name in self._settled or not self._is(name, named.get(name, "")):
            return True
        if status in _OPEN:
            return False
        problem = item.get("problem")
        if problem and problem["code"] in _NO_ROOM:
            del named[name]  # from now on it belongs to a later batch
            self._unsent.append(self._todo[name])
            self._come_back(None)
            return True
        if status == "succeeded":
            self._fetch(name, item["job_id"])
        else:
            self._fail(name, self._reason(item), item.get("job_id"))
        return True

    def _fetch(self, name: str, job_id: str) -> None:
        try:
            files = self._server.fetch(job_id, self._ledger.folder(name))
        except ServerRefused as error:
            self._fail(name, error.detail, job_id)
            return
        self._settled[name] = True
        self._ledger.succeed(name, files, job_id)

    def _fail(self, name: str, reason: str, job_id: str | None) -> None:
        self._settled[name] = False
        self._ledger.fail(name, reason, job_id)

    def _reason(self, item: dict[str, Any]) -> str:
        """Tell why an item has no result."""
        error = item.get("problem")
        if item["status"] == "failed":
            error = self._server.job(item["job_id"])["error"]
        return str(error["detail"]) if error else f"The job was {item['status']} on the server."

    def _come_back(self, after_s: int | None) -> None:
        self._not_before_s = time.monotonic() + (after_s or COME_BACK_S)

    def _show(self, running: int, rate: float | None) -> None:
        succeeded = sum(self._settled.values())
        left = len(self._todo) - len(self._settled)
        eta_s = 60 * left / rate if rate and left else None
        failed = len(self._settled) - succeeded
        self._line.show(Standing(len(self._todo), succeeded, failed, running, rate, eta_s))


def first_chunk(pictures: Sequence[Picture]) -> list[Picture]:
    """Return as many of the first pictures as go into one request, at least one."""
    size_bytes, chunk = 0, list(pictures[:1])
    for picture in pictures[1:PER_REQUEST]:
        size_bytes += picture.size_bytes
        if size_bytes + chunk[0].size_bytes > BYTES_PER_REQUEST:
            break
        chunk.append(picture)
    return chunk
