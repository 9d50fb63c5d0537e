"""A mixed load of two models for ``bench.batching``: only one is in memory at a time.

Jobs lie in a real job database. Changing the model reads its weights from a file and builds it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from backend.jobs.claims import Choice, Claims
from backend.jobs.store import JobStore, NewJob
from backend.jobs.turns import Turns
from backend.jobs.waiting_work import WaitingKind, waiting_kinds
from backend.units import SystemClock, new_id

LAYERS, WIDTH, BATCH, FORWARDS = 24, 2048, 32, 1
MODELS = ("first", "second")
QUEUE, OWNER = "gpu", "bench:1:1"


@dataclass(frozen=True)
class MixedRun:
    """What a mixed load came to.

    Parameters
    ----------
    elapsed_s : float
        For all jobs.
    loads : int
        How often a model was loaded.
    load_s : float
        Time in that.
    longest_wait_s : float
        Of any job, from the start to its claim.
    """

    elapsed_s: float
    loads: int
    load_s: float
    longest_wait_s: float


class OneModelAtATime:
    """Two models in files; asking for one drops the other.

    Parameters
    ----------
    folder : Path
        Where the files are written, about 400 MB each.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._name: str | None = None
        self._model: nn.Module | None = None
        self.loads = 0
        self.load_s = 0.0
        for name in MODELS:
            torch.save(_network().state_dict(), folder / f"{name}.pt")

    def forget(self) -> None:
        """Drop the model and the counts."""
        self._name = self._model = None
        self.loads, self.load_s = 0, 0.0

    def work(self, name: str) -> None:
        """Do the work of one job with a model, loaded if it is not there."""
        if name != self._name:
            started_s = time.perf_counter()
            self._model = None
            network = _network(empty=True)
            state = torch.load(self._folder / f"{name}.pt", weights_only=True)
            network.load_state_dict(state, assign=True)
            self._name, self._model = name, network
            self.loads += 1
            self.load_s += time.perf_counter() - started_s
        assert self._model is not None
        with torch.inference_mode():
            values = torch.ones(BATCH, WIDTH)
            for _ in range(FORWARDS):
                values = self._model(values)


def oldest_first(kinds: Sequence[WaitingKind], _turns: Turns) -> WaitingKind | None:
    """Choose as a plain queue does."""
    return min(kinds, key=lambda kind: kind.oldest_id, default=None)


def grouped(kinds: Sequence[WaitingKind], turns: Turns) -> WaitingKind | None:
    """Choose as the worker does."""
    return turns.choose(kinds, SystemClock().now())


def mixed_run(
    models: OneModelAtATime,
    folder: Path,
    jobs: int,
    choose: Callable[[Sequence[WaitingKind], Turns], WaitingKind | None],
    turns: Turns,
) -> MixedRun:
    """Run jobs of both models that came in mixed; all wait from the start."""
    models.forget()
    path = folder / "jobs.sqlite3"
    for stale in folder.glob("jobs.sqlite3*"):
        stale.unlink()
    store = JobStore(f"sqlite:///{path}", max_queued_jobs=jobs + 1)
    _submit(store, jobs)
    claims, waits = Claims(store), []
    started_s = time.perf_counter()
    while kind := choose(waiting_kinds(store.engine, QUEUE), turns):
        (job,) = claims.claim(QUEUE, OWNER, 1, Choice(kind.batch_key))
        turns.took(kind, SystemClock().now())
        waits.append(time.perf_counter() - started_s)
        models.work(str(job.params["engine"]))
        claims.mark_canceled(job)
    elapsed_s = time.perf_counter() - started_s
    store.close()
    return MixedRun(elapsed_s, models.loads, models.load_s, max(waits))


def _submit(store: JobStore, jobs: int) -> None:
    chance = random.Random(3)
    for number in range(jobs):
        name = chance.choice(MODELS)
        store.submit(
            NewJob(
                id=new_id(store.clock.now()),
                pipeline="image_to_3d",
                name=f"{number}",
                params={"engine": name},
                queue=QUEUE,
                inputs=(),
                stages=("shape_generation",),
                batch_key=f'image_to_3d:{{"engine": "{name}"}}',
                cost_key=name,
            )
        )


def _network(*, empty: bool = False) -> nn.Module:
    """Layers of random weights; empty ones take no memory until weights are assigned."""
    with torch.device("meta" if empty else "cpu"):
        return nn.Sequential(*(nn.Linear(WIDTH, WIDTH) for _ in range(LAYERS))).eval()
