"""The items of a batch as tiles: chosen by their state, a page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.jobs.batches.records import BatchItem, BatchRecord, ItemState
from backend.jobs.records import job_document
from backend.jobs.schema import JobRow
from backend.jobs.service import JobService
from backend.jobs.store import to_record
from backend.web.pages.fragments import card

PAGE = 48
_COUNTED_AS = {
    ItemState.CANCELING: ItemState.RUNNING,
    ItemState.EXPIRED: ItemState.SUCCEEDED,
}


@dataclass(frozen=True)
class Tile:
    """One item: its job as a card, or why there is none.

    Parameters
    ----------
    job : dict or None
        From ``card``.
    problem : dict or None
        Title, detail, advice and code of what went wrong.
    picture : str or None
        Address of what to show: the result, or what was sent while there is none.
    """

    position: int
    custom_id: str
    status: str
    job: dict[str, Any] | None
    problem: dict[str, Any] | None
    picture: str | None


@dataclass(frozen=True)
class ItemPage:
    """One page of tiles; ``number`` counts from 1, ``found`` is the items of all pages."""

    tiles: list[Tile]
    number: int
    pages: int
    found: int


def item_page(
    service: JobService, batch: BatchRecord, state: ItemState | None, number: int
) -> ItemPage:
    """Read a page of items; a page beyond the end is the last one.

    Parameters
    ----------
    batch : BatchRecord
        Looked up before, so the viewer may see it.
    state : ItemState, optional
        Only items that are counted as this.
    number : int
        Which page, from 1.
    """
    found = batch.counts.total if state is None else getattr(batch.counts, state.value)
    pages = max(1, -(-found // PAGE))
    number = max(1, min(number, pages))
    first = (number - 1) * PAGE
    if state is None:
        items = service.batches.items(batch.id, first - 1, PAGE)
    else:
        alike = [item for item in service.batches.items(batch.id) if _counts_as(item) is state]
        items = alike[first : first + PAGE]
    return ItemPage(_tiles(service, items), number, pages, found)


def _counts_as(item: BatchItem) -> ItemState:
    return _COUNTED_AS.get(item.status, item.status)


def _tiles(service: JobService, items: Sequence[BatchItem]) -> list[Tile]:
    jobs = _cards(service, items)
    return [_tile(item, jobs.get(item.job_id or "")) for item in items]


def _tile(item: BatchItem, job: dict[str, Any] | None) -> Tile:
    if item.status is ItemState.DELETED:
        job = None
    problem = job["error"] if job else item.problem
    status = job["status"] if job else item.status.value
    return Tile(item.position, item.custom_id, status, job, problem, _picture(job))


def _picture(job: dict[str, Any] | None) -> str | None:
    if job is None or job["status"] == ItemState.EXPIRED:
        return None
    return job["thumbnail"] or f"/jobs/{job['id']}/picture/small"


def _cards(service: JobService, items: Sequence[BatchItem]) -> dict[str, dict[str, Any]]:
    """Cards of the items' jobs, read at once: a page is asked for every two seconds."""
    ids = [item.job_id for item in items if item.job_id]
    with Session(service.store.engine) as session, session.begin():
        rows = session.scalars(select(JobRow).where(JobRow.id.in_(ids))).all()
        return {row.id: card(job_document(to_record(row))) for row in rows}
