"""What a batch is made of before it is stored: items whose pictures are still to be read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from backend.jobs.store import NewJob

ReadFiles = Callable[[], Mapping[str, bytes]]
MadeItem = tuple[NewJob, ReadFiles]


@dataclass(frozen=True)
class ItemDraft:
    """One item as sent.

    Parameters
    ----------
    custom_id : str
        Unique within the batch.
    make : callable
        Takes the identifier of the batch; returns the job and what reads its files. Both raise
        BadInput. It is called once for each item in their order; what reads the files may be
        called in another thread.
    """

    custom_id: str
    make: Callable[[str], MadeItem]


@dataclass(frozen=True)
class NewBatch:
    """A batch to be stored; ``params`` are those its items share."""

    pipeline: str
    name: str
    params: dict[str, Any]
    webhook_url: str | None = None
    idempotency_key: str | None = None
    body_sha256: str | None = None


@dataclass
class ReadyItem:
    """An item with its job, whose files are stored already, or with its problem."""

    custom_id: str
    job: NewJob | None = None
    problem: dict[str, Any] | None = field(default=None)
