"""Makes one attempt: writes the message, signs it, calls the receiver."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backend.jobs.store import JobStore
from backend.jobs.webhooks.deliveries import Delivery, Outcome
from backend.jobs.webhooks.messages import batch_message, job_message
from backend.jobs.webhooks.secret_file import SecretFile
from backend.jobs.webhooks.signatures import signature_headers
from backend.outbound.addresses import Rules
from backend.outbound.client import DEADLINE_S, Call, Limits, OutboundClient

DescribeBatch = Callable[[str], dict[str, Any]]


class Sender:
    """Sends messages.

    Parameters
    ----------
    store : JobStore
        Jobs to tell of.
    describe_batch : callable
        Returns the document of a batch by its id; raises NotFound.
    secret_file : SecretFile
        What messages are signed with.
    client : OutboundClient
        Makes the calls.
    rules : Rules
        Who may be called; judged at every attempt, because names change what they stand for.
    deadline_s : float
        Longest attempt.
    """

    def __init__(
        self,
        store: JobStore,
        describe_batch: DescribeBatch,
        secret_file: SecretFile,
        client: OutboundClient,
        rules: Rules,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._store = store
        self._describe_batch = describe_batch
        self._secret_file = secret_file
        self._client = client
        self._rules = rules
        self._limits = Limits(deadline_s=deadline_s)

    def send(self, delivery: Delivery) -> Outcome:
        """Make an attempt.

        Raises
        ------
        MeshkilnError
            Nobody answered, the address may no longer be called, or the job is gone.
        """
        body = self._message(delivery)
        timestamp_s = int(self._store.clock.now().timestamp())
        signed = signature_headers(self._secret_file.secrets(), delivery.id, timestamp_s, body)
        call = Call("POST", {"Content-Type": "application/json", **signed}, body)
        answer = self._client.call(delivery.url, self._rules, self._limits, call)
        outcome = Outcome(answer.status)
        return outcome if outcome.is_success else Outcome(answer.status, _refusal(answer.status))

    def _message(self, delivery: Delivery) -> bytes:
        now = self._store.clock.now()
        if delivery.job_id is not None:
            return job_message(self._store.get(delivery.job_id), now)
        return batch_message(self._describe_batch(delivery.batch_id or ""), now)


def _refusal(status: int) -> str:
    if 300 <= status < 400:
        return f"The receiver answered {status}; redirects are not followed."
    return f"The receiver answered {status}."
