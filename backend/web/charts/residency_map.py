"""Where each model was in the last hour: on the GPU, in host memory or on disk."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from itertools import pairwise
from typing import Any

from backend.web.charts.scale import Scale, Tick

WINDOW_S = 3600.0
SHORTEST_WINDOW_S = 300.0
ROW_PX = 40
AXIS_PX = 22
MAX_ROWS = 16
MAX_TABLE_MOVES = 40
MIN_WIDTH_PCT = 0.3
ON_DEVICE = frozenset({"restoring", "resident", "draining", "offloading"})
IN_HOST_MEMORY = frozenset({"host", "releasing"})


class Place(StrEnum):
    """Where the weights of a model are."""

    GPU = "gpu"
    HOST = "host"
    DISK = "disk"


NEAREST_FIRST = (Place.GPU, Place.HOST, Place.DISK)
Row = tuple[str, str | None]


@dataclass(frozen=True)
class Band:
    """A stretch of time in one place, in percent of the chart's width."""

    place: Place
    x_pct: float
    width_pct: float


@dataclass(frozen=True)
class Swap:
    """A moment at which a model came nearer to the GPU, or went away from it."""

    x_pct: float
    is_arrival: bool


@dataclass(frozen=True)
class MapRow:
    """A model, on one card where there are several."""

    model: str
    title: str
    card: str | None
    y_px: int
    bands: list[Band]
    swaps: list[Swap]

    @property
    def now(self) -> Place | None:
        """Where it is now; None when no worker tells."""
        last = self.bands[-1] if self.bands else None
        is_current = last is not None and last.x_pct + last.width_pct > 100 - MIN_WIDTH_PCT
        return last.place if last is not None and is_current else None


@dataclass(frozen=True)
class ResidencyMap:
    """A whole chart.

    Parameters
    ----------
    ticks : list of Tick
        In minutes before now, as negative numbers.
    moves : list of dict
        The newest moves, newest first, with the ``place`` each ended in.
    left_out : int
        Models there was no room for.
    """

    rows: list[MapRow]
    ticks: list[Tick]
    height_px: int
    window_min: float
    moves: list[dict[str, Any]]
    left_out: int


@dataclass(frozen=True)
class _Change:
    """A worker's model is in a place from now on; None: the worker has ended."""

    at_s: float
    worker: str
    place: Place | None


def residency_map(
    entries: Sequence[Mapping[str, Any]],
    titles: Mapping[str, str],
    alive: Iterable[str],
    now: datetime,
) -> ResidencyMap:
    """Lay out the moves of all workers.

    Parameters
    ----------
    entries : sequence of mapping
        Starts and moves, oldest first, as ``jobs.residency_moves.read_moves`` returns them.
    titles : mapping
        Name of a model to what it is called.
    alive : iterable of str
        Workers that report: what they last told holds until now.

    Returns
    -------
    ResidencyMap
        A row for each model and card. Several workers of one machine without a card share a row,
        which shows the place nearest to a card.
    """
    now_s = now.timestamp()
    window_s = _window_s(entries, now_s)
    scale = Scale(now_s - window_s, now_s)
    changes = _changes(entries, set(alive))
    keys = sorted(changes, key=lambda key: (key[0], key[1] or ""))
    found = [row for key in keys if (row := _row(key, changes[key], titles, scale)).bands]
    rows = [replace(row, y_px=AXIS_PX + at * ROW_PX) for at, row in enumerate(found[:MAX_ROWS])]
    moves = [_told(entry) for entry in reversed(entries) if entry["kind"] == "move"]
    return ResidencyMap(
        rows=rows,
        ticks=Scale(-window_s / 60, 0.0).ticks(4),
        height_px=AXIS_PX + len(rows) * ROW_PX,
        window_min=window_s / 60,
        moves=moves[:MAX_TABLE_MOVES],
        left_out=len(found) - len(rows),
    )


def place_of(state: str, *, on_gpu: bool) -> Place:
    """Tell where the weights are in a state.

    >>> place_of("resident", on_gpu=True).value, place_of("resident", on_gpu=False).value
    ('gpu', 'host')
    >>> place_of("loading", on_gpu=True).value
    'disk'
    """
    if state in ON_DEVICE:
        return Place.GPU if on_gpu else Place.HOST
    return Place.HOST if state in IN_HOST_MEMORY else Place.DISK


def _window_s(entries: Sequence[Mapping[str, Any]], now_s: float) -> float:
    first_s = _at_s(entries[0]) if entries else now_s
    return min(WINDOW_S, max(SHORTEST_WINDOW_S, now_s - first_s))


def _changes(entries: Sequence[Mapping[str, Any]], alive: set[str]) -> dict[Row, list[_Change]]:
    """Collect what happened to each model on each card, in order."""
    changes: dict[Row, list[_Change]] = defaultdict(list)
    ended: dict[str, float] = {}
    newest: dict[str, float] = {}
    cards: dict[str, str] = {}
    for entry in entries:
        at_s, worker, card = _at_s(entry), entry["worker"], entry["card"]
        newest[worker] = at_s
        if entry["kind"] == "start":
            if card in cards:
                ended.setdefault(cards[card], at_s)
            for model in entry["models"]:
                changes[model, card].append(_Change(at_s, worker, Place.DISK))
        else:
            row = changes[entry["model"], card]
            if not any(change.worker == worker for change in row):  # its start is not kept
                before = place_of(entry["from"], on_gpu=entry["on_gpu"])
                row.append(_Change(0.0, worker, before))
            row.append(_Change(at_s, worker, place_of(entry["to"], on_gpu=entry["on_gpu"])))
        if card is not None:
            cards[card] = worker
    for row in changes.values():
        for worker in {change.worker for change in row} - alive:
            row.append(_Change(ended.get(worker, newest[worker]), worker, None))
        row.sort(key=lambda change: change.at_s)
    return changes


def _row(key: Row, changes: Sequence[_Change], titles: Mapping[str, str], scale: Scale) -> MapRow:
    model, card = key
    stretches = _stretches(changes, scale.high)
    bands = [
        _band(place, max(start_s, scale.low), end_s, scale)
        for start_s, end_s, place in stretches
        if place is not None and end_s >= scale.low
    ]
    return MapRow(model, titles.get(model, model), card, 0, bands, _swaps(stretches, scale))


def _stretches(changes: Sequence[_Change], now_s: float) -> list[tuple[float, float, Place | None]]:
    """Join the workers of a row: the place nearest to a card counts."""
    held: dict[str, Place | None] = {}
    found: list[tuple[float, Place | None]] = []
    for change in changes:
        held[change.worker] = change.place
        places = set(held.values())
        place = next((one for one in NEAREST_FIRST if one in places), None)
        if not found or found[-1][1] is not place:
            found.append((change.at_s, place))
    ends = [start_s for start_s, _ in found[1:]] + [now_s]
    return [(start_s, end, place) for (start_s, place), end in zip(found, ends, strict=True)]


def _band(place: Place, start_s: float, end_s: float, scale: Scale) -> Band:
    x_pct = scale.percent(start_s)
    width_pct = max(MIN_WIDTH_PCT, scale.percent(end_s) - x_pct)
    return Band(place, min(x_pct, 100.0 - width_pct), width_pct)


def _swaps(stretches: Sequence[tuple[float, float, Place | None]], scale: Scale) -> list[Swap]:
    swaps = []
    for (_, _, before), (at_s, _, after) in pairwise(stretches):
        if before is not None and after is not None and at_s >= scale.low:
            is_arrival = NEAREST_FIRST.index(after) < NEAREST_FIRST.index(before)
            swaps.append(Swap(scale.percent(at_s), is_arrival))
    return swaps


def _told(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {**entry, "place": place_of(entry["to"], on_gpu=entry["on_gpu"]).value}


def _at_s(entry: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(entry["at"]).timestamp()
