"""Random batches: each job gets its own result, or its own failure, and none waits for ever."""

from __future__ import annotations

import gc
import random
import threading
from contextlib import suppress

import pytest

from backend.batch_processor import BatchProcessor, run_engine
from backend.errors import JobCanceled, MeshkilnError, NoSurfaceFound
from backend.gpu.batch_history import BatchHistory
from backend.gpu_optimizer import GPUOptimizer
from tests.batching.conftest import NotedSink, wait_for
from tests.batching.scripted_engine import ScriptedEngine

STAGES = ("image_preprocessing", "shape_generation", "texture_synthesis")
ROUNDS, SEEDS = 25, 4


class Broken(NotedSink):
    """Fails after some reports."""

    def __init__(self, after):
        super().__init__()
        self.left = after

    def stage_progress(self, stage, step, steps):
        self.left -= 1
        if self.left < 0:
            raise OSError("the database is away")


class Canceled(NotedSink):
    """Says to stop after it was asked a few times, and does not change its mind."""

    def __init__(self, after):
        super().__init__()
        self.left = after

    def is_canceled(self):
        self.left -= 1
        return self.left < 0


class Named(ScriptedEngine):
    """Returns each task with the engine's name; a task whose name tells so fails."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.returned: list[str] = []

    def run(self, batch, progress):
        what = {name.partition("-")[0] for name in batch}
        super().run([name if name not in ("bad", "lost") else "x" for name in batch], progress)
        if "bad" in what:
            raise NoSurfaceFound("Scripted.")
        if "defect" in what:
            raise ZeroDivisionError
        self.returned += batch
        return [f"{self.name}:{name}" for name in batch]


class Job:
    """One job with a fate of its own."""

    def __init__(self, chance, name):
        self.task = f"{chance.choice(('good',) * 8 + ('bad', 'defect'))}-{name}"
        self.calls = [stage for stage in STAGES if chance.random() < 0.8]
        self.sink = chance.choice([NotedSink] * 6 + [Broken, Canceled])
        self.sink = self.sink() if self.sink is NotedSink else self.sink(chance.randrange(1, 6))
        self.leaves = chance.random() < 0.1
        self.pause_s = chance.choice((0, 0, 0.002))

    def run(self, member, engines, progress):
        with suppress(SystemExit), member.present():
            if self.leaves:
                raise SystemExit
            found = []
            for stage in self.calls:
                threading.Event().wait(self.pause_s)
                found.append(run_engine(engines[stage], self.task, progress(self.sink, stage)))
            return found

    def is_right(self, result, engines):
        if self.leaves:
            return result is None
        if isinstance(result, list):
            healthy = not self.calls or self.task.startswith("good")
            return healthy and result == [f"{engines[s].name}:{self.task}" for s in self.calls]
        if isinstance(self.sink, Canceled) and isinstance(result, JobCanceled):
            return True
        if isinstance(self.sink, Broken) and isinstance(result, OSError):
            return not isinstance(result, MeshkilnError)
        kind = {"bad": NoSurfaceFound, "defect": ZeroDivisionError}.get(self.task.split("-")[0])
        return kind is not None and isinstance(result, kind)


@pytest.fixture(scope="module", autouse=True)
def nothing_to_collect():
    """Every failure collects, which takes ten times as long with what other tests imported."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def processor(tmp_path):
    history = BatchHistory(tmp_path / "gpu.sqlite3")
    return BatchProcessor(GPUOptimizer(history=history, read_status=lambda: {"devices": []}))


class Rounds:
    """Batches of random jobs, all at once, and what has to come of them."""

    def __init__(self, seed, processor, crew, progress):
        self.chance = random.Random(seed)
        self._processor = processor
        self._crew = crew
        self._progress = progress
        self._jobs = {}

    def engines(self, number):
        return {
            stage: Named(
                f"{stage}{number}",
                batches=self.chance.random() < 0.8,
                room=self.chance.choice((1, 2, 3, 99)),
            )
            for stage in STAGES
        }

    def start(self, number, members, engines, *, first=0):
        for place, member in enumerate(members, first):
            job = Job(self.chance, f"{number}-{place}")
            self._jobs[number, place] = (job, engines)
            work = lambda j=job, m=member: j.run(m, engines, self._progress)  # noqa: E731
            self._crew.start((number, place), work)

    def check(self):
        found = self._crew.join(60)
        wrong = {
            name: found.get(name)
            for name, (job, engines) in self._jobs.items()
            if not job.is_right(found.get(name), engines)
        }
        assert wrong == {}
        for _, engines in self._jobs.values():
            for engine in engines.values():
                assert len(engine.returned) == len(set(engine.returned)), "a task was done twice"
        wait_for(lambda: not self._processor.turn.is_taken)
        stats = self._processor.get_batch_stats()
        assert stats["items"] == stats["failed"] + sum(stats["sizes"].values())


@pytest.mark.parametrize("seed", range(SEEDS))
def test_nobody_gets_what_is_not_his_and_nobody_hangs(processor, crew, progress, seed):
    rounds = Rounds(seed, processor, crew, progress)
    for number in range(ROUNDS):
        size = rounds.chance.randrange(1, 7)
        rounds.start(number, processor.members(size, STAGES), rounds.engines(number))
    rounds.check()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_late_ones_come_at_any_time(processor, crew, progress, seed):
    """Before, while and after those on time do anything, one or several at once."""
    rounds = Rounds(seed, processor, crew, progress)
    chance, late = rounds.chance, []
    for number in range(ROUNDS):
        engines = rounds.engines(number)
        for engine in engines.values():
            pause_s = chance.choice((0, 0.001, 0.004))
            engine.during = lambda _t, _p, pause_s=pause_s: threading.Event().wait(pause_s)
        members = processor.members(chance.randrange(1, 4), STAGES, is_open=True)
        late += [(number, members[0], engines, 10 * n) for n in range(1, chance.randrange(1, 5))]
        rounds.start(number, members, engines)
        chance.shuffle(late)
        while late and chance.random() < 0.7:
            threading.Event().wait(chance.choice((0, 0.001, 0.01)))
            where, member, its_engines, first = late.pop()
            some = member.late(chance.randrange(1, 4))
            rounds.start(where, some, its_engines, first=first)
    for where, member, its_engines, first in late:
        rounds.start(where, member.late(1), its_engines, first=first)
    rounds.check()
    sizes = processor.get_batch_stats()["sizes"]
    assert sum(count for size, count in sizes.items() if size > 1) > 0
