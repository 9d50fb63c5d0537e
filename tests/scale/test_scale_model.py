"""The model against what can be worked out by hand."""

from __future__ import annotations

import pytest

from bench.scale_costs import Cost
from bench.scale_model import Fleet, Load, Resource, Setup, Simulation
from bench.scale_simulation import limit_of, simulate

KINDS = ("submit", "claim", "stage write", "lease renewal", "cancel look", "status, running",
         "finish", "event", "web submit", "web status")  # fmt: skip


def costs(**given):
    """Every cost, 0 unless given in seconds of the server."""
    seconds = dict.fromkeys(KINDS, 0.0) | {name.replace("_", " "): s for name, s in given.items()}
    return {name: Cost(s, s, s, [s]) for name, s in seconds.items()}


def test_who_finds_no_place_waits_its_turn():
    simulation, shared, seen = Simulation(0.0), Resource("shared", 1), []

    def use(name, seconds):
        yield shared, seconds
        seen.append((name, simulation.now_s))

    for name, seconds in (("a", 2.0), ("b", 1.0), ("c", 1.0)):
        simulation.start(use(name, seconds))
    simulation.run(10.0)
    assert seen == [("a", 2.0), ("b", 3.0), ("c", 4.0)]
    assert shared.busy_s == 4.0


def test_two_places_serve_two_at_once():
    simulation, shared, seen = Simulation(0.0), Resource("shared", 2), []

    def use():
        yield shared, 1.0
        seen.append(simulation.now_s)

    for _ in range(4):
        simulation.start(use())
    simulation.run(10.0)
    assert seen == [1.0, 1.0, 2.0, 2.0]


def test_without_costs_every_gpu_works_all_the_time():
    free = Setup("free", "postgresql", store_mb_per_s=1e12)
    outcome = Fleet(20, free, Load(), costs()).run(60.0)
    assert outcome.gpu_share == pytest.approx(1.0, abs=0.02)
    assert outcome.jobs_per_s == pytest.approx(20 / 10, rel=0.3)


def test_a_database_that_takes_long_lets_no_more_through_than_it_can():
    """One claim takes half a second of the only place: two jobs a second, however many GPUs."""
    setup = Setup("slow claims", "postgresql", 1, store_mb_per_s=1e12)
    outcomes = simulate(setup, Load(job_s=2.0), costs(claim=0.5), (1, 20))
    assert outcomes[-1].jobs_per_s == pytest.approx(2.0, rel=0.1)
    assert outcomes[-1].busy["database"] == pytest.approx(1.0, abs=0.02)
    assert limit_of(outcomes) == (1, "database")


def test_a_narrow_store_is_named():
    load = Load(job_s=1.0, upload_mb=10.0, result_mb=10.0)
    setup = Setup("narrow", "postgresql", 8, web_processes=8, store_mb_per_s=100.0)
    good, full = limit_of(simulate(setup, load, costs(), (1, 50)))
    assert (good, full) == (1, "store")


def test_sqlite_has_one_writer_but_readers_are_free():
    load = Load(job_s=2.0)
    writing = simulate(Setup("x", "sqlite", 1), load, costs(stage_write=0.05), (1, 50))
    assert limit_of(writing) == (1, "database")
    reading = simulate(Setup("x", "sqlite", 1), load, costs(**{"status, running": 0.05}), (1, 50))
    assert reading[-1].busy["database"] == 0.0
