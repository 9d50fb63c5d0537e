"""What the clients saw: the side of the story that no kill can touch."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Seen:
    """One event as a client got it; ``seq`` is 0 for snapshots and gaps."""

    id: str
    seq: int
    type: str
    data: dict[str, Any]


@dataclass
class Followed:
    """What one socket client saw of one job, over all its connections."""

    job_id: str
    events: list[Seen] = field(default_factory=list)
    connections: int = 0
    ended: str | None = None


@dataclass
class ClientLog:
    """Everything that was acknowledged and seen.

    Parameters
    ----------
    acknowledged : dict
        Job id by the name that its client gave it; the name tells the idempotency key.
    answers : dict
        Every id that the server ever gave for a name.
    terminal : list
        Each terminal state that an answer named, with the job.
    """

    acknowledged: dict[str, str] = field(default_factory=dict)
    answers: dict[str, set[str]] = field(default_factory=dict)
    canceled: set[str] = field(default_factory=set)
    terminal: list[tuple[str, str]] = field(default_factory=list)
    followed: list[Followed] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    resent: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def acknowledge(self, name: str, job_id: str) -> None:
        """Note a 2xx answer."""
        with self.lock:
            self.acknowledged.setdefault(name, job_id)
            self.answers.setdefault(name, set()).add(job_id)

    def saw(self, job: dict[str, Any]) -> None:
        """Note a terminal state that the API told."""
        if job["finished_at"] is not None:
            with self.lock:
                self.terminal.append((job["id"], job["status"]))

    def unexpected(self, text: str) -> None:
        """Note an answer that no client should get."""
        with self.lock:
            self.refused.append(text)
