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
from tests.batching.conftest import NotedSink
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

    def run(self, batch, progress):
        what = {name.partition("-")[0] for name in batch}
        super().run([name if name not in ("bad", "lost") else "x" for name in batch], progress)
        if "bad" in what:
            raise NoSurfaceFound("Scripted.")
        if "defect" in what:
            raise ZeroDivisionError
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


@pytest.mark.parametrize("seed", range(SEEDS))
def test_nobody_gets_what_is_not_his_and_nobody_hangs(tmp_path, crew, progress, seed):
    chance = random.Random(seed)
    history = BatchHistory(tmp_path / "gpu.sqlite3")
    processor = BatchProcessor(GPUOptimizer(history=history, read_status=lambda: {"devices": []}))
    jobs = {}
    for number in range(ROUNDS):
        engines = {
            stage: Named(
                f"{stage}{number}", batches=chance.random() < 0.8, room=chance.choice((1, 2, 3, 99))
            )
            for stage in STAGES
        }
        batch = [Job(chance, f"{number}-{place}") for place in range(chance.randrange(1, 7))]
        for place, member in enumerate(processor.members(len(batch), STAGES)):
            name = (number, place)
            jobs[name] = (batch[place], engines)
            crew.start(name, lambda j=batch[place], m=member, e=engines: j.run(m, e, progress))
    found = crew.join(60)
    wrong = {
        name: found.get(name)
        for name, (job, engines) in jobs.items()
        if not job.is_right(found.get(name), engines)
    }
    assert wrong == {}
    assert not processor.turn.is_taken
    stats = processor.get_batch_stats()
    assert stats["items"] == stats["failed"] + sum(stats["sizes"].values())
