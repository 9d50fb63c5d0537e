"""What the web process and its pages use of webhooks."""

from __future__ import annotations

from typing import Any

from backend.errors import FieldProblem, JobNotFinished, NotFound, UrlNotAllowed, UrlUnreachable
from backend.jobs.store import JobStore
from backend.jobs.webhooks.courier import Courier
from backend.jobs.webhooks.deliveries import Deliveries
from backend.jobs.webhooks.secret_file import SecretFile
from backend.jobs.webhooks.sender import DescribeBatch, Sender
from backend.jobs.webhooks.table import WebhookRow
from backend.outbound.addresses import Rules, read_ports
from backend.outbound.client import DEADLINE_S, OutboundClient
from backend.settings import Settings
from backend.units import iso

ADVICE = "Give an https address on the internet, or have its host added to MESHKILN_WEBHOOK_HOSTS."


class Webhooks:
    """Webhooks of one server.

    Parameters
    ----------
    settings : Settings
        ``webhook_hosts``, ``outbound_ports``, and the data folder with the secret.
    store : JobStore
        The job database.
    describe_batch : callable, optional
        Returns the document of a batch by its id; raises NotFound.
    client : OutboundClient, optional
        Makes the calls.
    deadline_s : float
        Longest attempt.
    """

    def __init__(
        self,
        settings: Settings,
        store: JobStore,
        describe_batch: DescribeBatch | None = None,
        client: OutboundClient | None = None,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._store = store
        self._client = client or OutboundClient()
        self._rules = Rules(
            frozenset({"https"}), read_ports(settings.outbound_ports), settings.webhook_hosts
        )
        self.deliveries = Deliveries(store)
        self.secret_file = SecretFile(settings.data_dir)
        describe = describe_batch or _no_batch
        sender = Sender(store, describe, self.secret_file, self._client, self._rules, deadline_s)
        self.courier = Courier(self.deliveries, sender)

    def check(self, url: str) -> None:
        """Refuse an address that could never be told anything.

        Raises
        ------
        UrlNotAllowed, UrlUnreachable
            With the field to blame.
        """
        try:
            self._client.judge(url, self._rules)
        except (UrlNotAllowed, UrlUnreachable) as error:
            fields = (FieldProblem("/webhook_url", error.detail),)
            raise type(error)(error.detail, advice=ADVICE, fields=fields) from error

    def document(self, job_id: str) -> dict[str, Any]:
        """Describe the webhook of a job; raises NotFound."""
        return webhook_document(self.deliveries.latest_of_job(job_id))

    def url_of(self, job_id: str) -> str | None:
        """Where the end of a job is told, if anywhere."""
        try:
            return self.deliveries.latest_of_job(job_id).url
        except NotFound:
            return None

    def send_again(self, job_id: str) -> dict[str, Any]:
        """Tell the end of a job once more; raises NotFound, JobNotFinished."""
        if not self._store.get(job_id).status.is_terminal:
            raise JobNotFinished("Its webhook is sent when the job has ended.")
        self.deliveries.send_again(self.deliveries.latest_of_job(job_id).id)
        return self.document(job_id)


def _no_batch(batch_id: str) -> dict[str, Any]:
    raise NotFound(f"There is no batch {batch_id}.")


def webhook_document(row: WebhookRow) -> dict[str, Any]:
    """Write the JSON of a webhook."""
    return {
        "id": row.id,
        "url": row.url,
        "state": row.state,
        "attempts": row.attempts,
        "created_at": iso(row.created_at),
        "next_at": iso(row.next_at),
        "delivered_at": iso(row.delivered_at),
        "last_status": row.last_status,
        "last_error": row.last_error,
    }
