"""The advice as the interface tells it, worked out again only when something has changed."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from backend.jobs.advice_evidence import NO_RUNS, WorkRuns, evidence_from, most_used_work, runs_of
from backend.jobs.encode_probe import NAME
from backend.jobs.measurements import Measurements
from backend.jobs.service import JobService
from backend.jobs.settings_in_force import settings_in_force
from backend.jobs.slowest_stages import slowest_stages
from backend.profiling.advice.advice import Advice
from backend.profiling.advice.evidence import Evidence
from backend.profiling.advice.ranking import LEAST_PCT, Tests, recommend, seed_lines
from backend.profiling.advice.rule import MIN_RUNS
from backend.runtime_settings import Value

# What workers say of their card and models moves without any run.
BEATS_KEPT_S = 5.0
KEPT_WORKS = 16

Work = tuple[str, str]
Key = TypeVar("Key", bound=Work | str | None)


@dataclass(frozen=True)
class _Basis:
    """What the stored runs of a kind of work are read under."""

    newest: str | None
    settings: Mapping[str, Value]


@dataclass(frozen=True)
class _State:
    """What the advice depends on; equal states have the same advice for a few seconds."""

    basis: _Basis
    measured: str | None
    tests: Tests
    period: int

    @property
    def decisions(self) -> tuple[Mapping[str, Value], Tests]:
        """What people have decided: the settings in force, and what came of the trials."""
        return self.basis.settings, self.tests


class AdviceBook:
    """The advice of one server.

    Parameters
    ----------
    service : JobService
        Runs, workers, measurements and trials.
    """

    def __init__(self, service: JobService) -> None:
        self._service = weakref.proxy(service)
        self._measurements = Measurements(service.store.engine, service.clock)
        self._runs: OrderedDict[Work, tuple[_Basis, WorkRuns]] = OrderedDict()
        self._pages: OrderedDict[Work, tuple[_State, dict[str, Any]]] = OrderedDict()
        self._most_used: OrderedDict[str | None, tuple[str | None, Work | None]] = OrderedDict()
        self._working_on: set[Work] = set()
        # Guards what is kept; nothing is read or worked out while it is held.
        self._ended = threading.Condition()

    def document(self, pipeline: str | None, shape_key: str | None) -> dict[str, Any]:
        """Return the advice on a kind of work; see ``recommendations_document``."""
        service = self._service
        experiments = [stored.to_document() for stored in service.tuning.experiments()]
        newest = service.run_history.newest()
        work = self._work(newest, pipeline, shape_key)
        page = self._page(newest, work) if work else self._empty_page(pipeline)
        return page | {"experiments": experiments}

    def _work(self, newest: str | None, pipeline: str | None, shape_key: str | None) -> Work | None:
        if pipeline is not None and shape_key is not None:
            return pipeline, shape_key
        with self._ended:
            known = self._most_used.get(pipeline)
        if known is None or known[0] != newest:
            known = newest, most_used_work(self._service, pipeline)
            with self._ended:
                _remember(self._most_used, pipeline, known)
        return known[1]

    def _page(self, newest: str | None, work: Work) -> dict[str, Any]:
        service = self._service
        state = _State(
            _Basis(newest, settings_in_force(service, work[0])),
            self._measurements.last_change(NAME),
            service.tuning.tests(*work),
            int(service.clock.monotonic_s() / BEATS_KEPT_S),
        )
        page = self._kept_page(work, state)
        if page is None:
            try:
                page = self._new_page(work, state)
                with self._ended:
                    _remember(self._pages, work, (state, page))
            finally:
                with self._ended:
                    self._working_on.discard(work)
                    self._ended.notify_all()
        return page

    def _kept_page(self, work: Work, state: _State) -> dict[str, Any] | None:
        """Return the page if it still holds; None leaves it to the caller to work it out.

        Whoever comes while another works it out gets the one before, unless people have decided
        something since: who applies or dismisses advice sees that at once.
        """
        with self._ended:
            while True:
                known = self._pages.get(work)
                is_busy = work in self._working_on
                if known is not None and (
                    known[0] == state or (is_busy and known[0].decisions == state.decisions)
                ):
                    return known[1]
                if not is_busy:
                    self._working_on.add(work)
                    return None
                self._ended.wait()

    def _new_page(self, work: Work, state: _State) -> dict[str, Any]:
        runs = self._runs_of(work, state.basis)
        evidence = evidence_from(
            self._service, work[0], runs, state.basis.settings, self._measurements
        )
        shown = recommend(evidence, state.tests)
        return self._written(work, evidence, shown)

    def _runs_of(self, work: Work, basis: _Basis) -> WorkRuns:
        with self._ended:
            known = self._runs.get(work)
        if known is not None and known[0] == basis:
            return known[1]
        runs = runs_of(self._service, *work, basis.settings, known[1] if known else NO_RUNS)
        with self._ended:
            _remember(self._runs, work, (basis, runs))
        return runs

    def _empty_page(self, pipeline: str | None) -> dict[str, Any]:
        return self._written((pipeline, None), Evidence(), [])

    def _written(
        self, work: tuple[str | None, str | None], evidence: Evidence, shown: list[Advice]
    ) -> dict[str, Any]:
        runs = evidence.job.n if evidence.job else 0
        stages = self._service.store.history.stage_statistics()
        return {
            "pipeline": work[0],
            "shape_key": work[1],
            "runs": runs,
            "items": [advice.to_document() for advice in shown],
            "recommendations": slowest_stages(stages),
            "seed_lines": seed_lines(evidence, shown),
            "note": _note(runs, shown, is_new=not stages),
        }


def recommendations_document(
    service: JobService, pipeline: str | None = None, shape_key: str | None = None
) -> dict[str, Any]:
    """Return what to change for faster jobs, JSON-ready.

    Parameters
    ----------
    pipeline, shape_key : str, optional
        The kind of work; the one that most of the last runs did unless both are given.

    Returns
    -------
    dict
        ``pipeline`` and ``shape_key`` of the work, None without any run; ``runs``, how many back
        the advice; ``items``, at most five; ``experiments`` of all kinds of work, newest first;
        ``recommendations`` and ``seed_lines`` as earlier versions wrote them; ``note``.
    """
    with _lock:
        book = _books.get(service)
        if book is None:
            book = _books[service] = AdviceBook(service)
    return book.document(pipeline, shape_key)


def _note(runs: int, shown: list[Advice], *, is_new: bool) -> str | None:
    """Say why there is no advice; None where there is some."""
    if shown:
        return None
    if runs == 0 and is_new:
        return (
            "No finished runs yet: recommendations are made from measured runs, at least "
            f"{MIN_RUNS} of the same work with the settings and engines of now."
        )
    if runs < MIN_RUNS:
        return (
            f"Advice needs at least {MIN_RUNS} runs of the same work with the settings and engines "
            f"of now, and there {'is 1' if runs == 1 else f'are {runs}'}."
        )
    return (
        f"The last {runs} runs show no change of a setting that would save {LEAST_PCT:.0f} % of a "
        "job."
    )


def _remember(kept: OrderedDict[Key, Any], key: Key, value: Any) -> None:
    """Keep what was asked for last: the names of works come from outside."""
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > KEPT_WORKS:
        kept.popitem(last=False)


_lock = threading.Lock()
_books: weakref.WeakKeyDictionary[JobService, AdviceBook] = weakref.WeakKeyDictionary()
