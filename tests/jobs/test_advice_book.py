from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from backend.jobs import advice_book, advice_evidence
from backend.jobs.advice_book import recommendations_document
from backend.jobs.advice_evidence import gather_evidence, most_used_work
from backend.jobs.encode_probe import NAME
from backend.jobs.gpu_samples import DeviceHistory
from backend.jobs.measurements import MeasuredOn, Measurements
from backend.jobs.settings_in_force import ran_with, settings_in_force
from backend.profiling.advice.rule_id import RuleId
from backend.profiling.run_summary import RunStatus
from backend.profiling.spans import ProfileStatus
from backend.settings import Settings
from tests.jobs.test_advice_device import CARD, HOT
from tests.jobs.test_advice_residency import THRASH, TWO
from tests.profiling.made_runs import made_profile, made_run

IMAGE, KEY = "image_to_3d", "image_to_3d:standard"
IDENTIFIER = "slow_encoding.mesh_export"
# The first is the level in force; three rounds of seconds for each.
LEVELS = {9: (0.50, 0.52, 0.48), 6: (0.2, 0.2, 0.2), 3: (0.1, 0.1, 0.1), 1: (0.08, 0.1, 0.09)}


@pytest.fixture
def slow_export(service):
    """A service that was started with the slowest compression."""
    service.settings = replace(service.settings, export_compression=9)
    service.tuning = type(service.tuning)(
        service.store.engine, service.clock, {"export_compression": 9}
    )
    return service


@pytest.fixture
def record(service, clock):
    def made(count=1, *, level=9, shape_key=KEY, queue_s=None, stages=None, **fields):
        for _ in range(count):
            clock.forward(seconds=10)
            base = {
                "job_id": None,
                "pipeline": IMAGE,
                "engine": {"shape": "inflate"},
                "settings": {"export_compression": level, "export_threads": 1},
                "shape_key": shape_key,
                "batch_size": 1,
            }
            profile = made_profile(
                stages or {"shape": 0.6, "mesh_export": 0.9}, started_at=clock.now(),
                queue_s=queue_s,
            )  # fmt: skip
            service.run_history.record(profile, **(base | fields))

    return made


@pytest.fixture
def measure(service):
    def made(levels=LEVELS, device=None):
        rows = [
            {"level": level, "seconds": [*seconds], "size_bytes": 1000 * (10 - level)}
            for level, seconds in levels.items()
        ]
        about = MeasuredOn(NAME, IMAGE, KEY, device)
        Measurements(service.store.engine, service.clock).keep(
            about, {"levels": rows, "sampled": 0.2}, 3
        )

    return made


def ids(document):
    return [item["id"] for item in document["items"]]


def test_nothing_known_is_nothing_advised_and_the_note_says_what_it_takes(service, record):
    empty = recommendations_document(service)
    assert (empty["items"], empty["experiments"], empty["seed_lines"]) == ([], [], [])
    assert (empty["pipeline"], empty["shape_key"], empty["runs"]) == (None, None, 0)
    assert empty["note"].startswith("No finished runs yet")
    assert "at least 5" in empty["note"]
    record(2, level=1)
    few = recommendations_document(service)
    assert (few["pipeline"], few["shape_key"], few["runs"]) == (IMAGE, KEY, 2)
    assert few["items"] == []
    assert "at least 5" in few["note"]
    assert "there are 2" in few["note"]
    record(3, level=1)
    assert "last 5 runs show no change" in recommendations_document(service)["note"]


def test_a_slow_export_is_found_with_the_seconds_that_were_measured(slow_export, record, measure):
    record(6)
    measure()
    document = recommendations_document(slow_export)
    [item] = document["items"]
    assert (item["id"], item["rule"]) == (IDENTIFIER, RuleId.SLOW_ENCODING)
    assert item["gain"]["low"] == pytest.approx(0.48 - 0.09)
    assert item["gain"]["high"] == pytest.approx(0.42)
    assert item["gain"]["ceiling"] == pytest.approx(0.5)
    assert item["gain"]["pct"] == pytest.approx(100 * 0.405 / 1.5)
    assert item["action"] == {
        "setting": "export_compression", "from": 9, "to": 1, "needs_restart": False,
        "available": True,
    }  # fmt: skip
    assert item["evidence"]["n"] == 6
    assert item["evidence"]["growth"] == pytest.approx(8.0)
    assert (document["note"], document["runs"]) == (None, 6)


def test_with_the_fastest_level_in_force_nothing_is_said(service, record, measure):
    record(6, level=1)
    measure()
    assert service.settings.export_compression == 1
    assert recommendations_document(service)["items"] == []


def test_a_level_that_was_not_measured_is_no_evidence(slow_export, record, measure):
    record(6)
    measure({level: LEVELS[level] for level in (6, 3, 1)})
    assert recommendations_document(slow_export)["items"] == []


def test_writers_side_by_side_promise_no_least_saving(slow_export, record, measure):
    slow_export.settings = replace(slow_export.settings, export_threads=4)
    settings = {"export_compression": 9, "export_threads": 4}
    record(6, settings=settings)
    measure()
    [item] = recommendations_document(slow_export)["items"]
    assert item["gain"]["low"] == 0.0
    assert item["gain"]["high"] == pytest.approx(0.42)


def test_what_was_measured_on_a_card_says_nothing_of_runs_without_one(slow_export, record, measure):
    record(6)
    measure(device="a card")
    assert recommendations_document(slow_export)["items"] == []


def test_only_runs_with_the_settings_and_engines_of_now_count(slow_export, record):
    record(7, level=1)
    record(6)
    record(2, status=RunStatus.FAILED)
    record(9, shape_key="other")
    evidence = gather_evidence(slow_export, IMAGE, KEY)
    assert evidence.job.n == 6
    assert evidence.settings["export_compression"] == 9
    record(1, engine={"shape": "new"})
    assert gather_evidence(slow_export, IMAGE, KEY).job.n == 1


def test_a_confirmed_value_is_in_force_and_older_runs_speak_no_longer(slow_export, record, measure):
    record(6)
    measure()
    assert ids(recommendations_document(slow_export)) == [IDENTIFIER]
    slow_export.tuning.set("export_compression", 1)
    document = recommendations_document(slow_export)
    assert (document["items"], document["runs"]) == ([], 0)
    assert settings_in_force(slow_export)["export_compression"] == 1


def test_a_run_from_before_a_setting_existed_ran_with_its_default():
    bare = made_run({"a": 1.0}, settings={})
    assert ran_with(bare, {"export_compression": Settings().export_compression})
    assert not ran_with(bare, {"export_compression": 9})
    on_cpu = made_run({"a": 1.0}, settings={"residency": "auto"})
    assert ran_with(on_cpu, {"residency": "resident"})
    assert not ran_with(replace(on_cpu, device="a card"), {"residency": "resident"})
    assert ran_with(made_run({"a": 1.0}, settings={"precision": "fp16"}), {"precision": "fp16"})
    assert not ran_with(made_run({"a": 1.0}, settings={"precision": "fp16"}), {"precision": "auto"})


def test_the_work_that_is_done_most_is_looked_at_unless_another_is_named(service, record):
    record(3, level=1, shape_key="b")
    record(2, level=1, shape_key="a")
    record(4, pipeline="cut_out", shape_key="c")
    record(9, pipeline="part_at_point", shape_key="d")
    assert most_used_work(service) == ("cut_out", "c")
    assert recommendations_document(service)["shape_key"] == "c"
    assert recommendations_document(service, IMAGE)["shape_key"] == "b"
    named = recommendations_document(service, IMAGE, "a")
    assert (named["shape_key"], named["runs"]) == ("a", 2)
    nothing = recommendations_document(service, "no_such_pipeline")
    assert (nothing["pipeline"], nothing["items"]) == ("no_such_pipeline", [])


def test_dismissed_advice_is_gone_at_once_and_trials_are_listed(slow_export, record, measure):
    record(6)
    measure()
    evidence = gather_evidence(slow_export, IMAGE, KEY)
    [advice] = advice_book.recommend(evidence)
    applied = slow_export.tuning.apply(advice, pipeline=IMAGE, shape_key=KEY, old=9)
    document = recommendations_document(slow_export)
    assert [trial["id"] for trial in document["experiments"]] == [applied.id]
    assert document["items"][0]["verify"]["state"] == "applied"
    slow_export.tuning.dismiss(advice, pipeline=IMAGE, shape_key=KEY)
    assert recommendations_document(slow_export)["items"] == []


def test_stored_runs_are_read_again_only_after_a_new_one(service, record, clock, monkeypatch):
    record(5, level=1)
    reads = []
    runs_of = advice_book.runs_of
    monkeypatch.setattr(advice_book, "runs_of", lambda *args: reads.append(1) or runs_of(*args))
    first = recommendations_document(service)
    assert recommendations_document(service) == first
    clock.forward(seconds=6)
    assert recommendations_document(service) == first
    assert len(reads) == 1
    record(1, level=1)
    assert recommendations_document(service)["runs"] == 6
    assert len(reads) == 2


def test_a_deep_profile_kept_its_worker_busy_but_tells_no_times(service, record):
    record(5, level=1)
    deep = {"export_compression": 1, "export_threads": 1, "deep": True}
    record(1, settings=deep)
    runs = advice_evidence.runs_of(service, IMAGE, KEY, settings_in_force(service))
    assert (len(runs.alike), len(runs.all)) == (5, 6)


def test_a_profile_is_read_once(service, record, clock, monkeypatch):
    def on_gpu():
        profile = made_profile({"shape": 1.0}, started_at=clock.now())
        profile.device = "NVIDIA H200"
        service.run_history.record(
            profile, job_id=None, pipeline=IMAGE, engine={}, settings={}, shape_key=KEY,
            batch_size=1,
        )  # fmt: skip
        clock.forward(seconds=10)

    reads = []
    run_of = service.run_history.run
    monkeypatch.setattr(service.run_history, "run", lambda run: reads.append(run) or run_of(run))
    for _ in range(3):
        on_gpu()
    recommendations_document(service)
    on_gpu()
    recommendations_document(service)
    assert len(reads) == len(set(reads)) == 4


@pytest.fixture
def held_up(monkeypatch):
    """Works out advice in another thread, which stops there until it is let go on."""
    begun, go_on = threading.Event(), threading.Event()
    evidence_from = advice_book.evidence_from

    def slow(*args):
        if threading.current_thread() is not threading.main_thread():
            begun.set()
            assert go_on.wait(10)
        return evidence_from(*args)

    monkeypatch.setattr(advice_book, "evidence_from", slow)
    threads = []

    def start(service, *work):
        found = []
        threads.append(
            threading.Thread(target=lambda: found.append(recommendations_document(service, *work)))
        )
        threads[-1].start()
        assert begun.wait(10)
        return found

    def end():
        go_on.set()
        for thread in threads:
            thread.join(10)

    yield start, end
    end()


def test_late_readers_get_the_document_before(service, record, held_up):
    start, end = held_up
    record(5, level=1)
    before = recommendations_document(service)
    record(1, level=1)
    found = start(service)
    assert recommendations_document(service) == before
    end()
    assert [page["runs"] for page in found] == [6]
    assert recommendations_document(service)["runs"] == 6


def test_advice_on_one_work_does_not_wait_for_another(service, record, held_up):
    start, end = held_up
    record(5, level=1, shape_key="a")
    record(4, level=1, shape_key="b")
    found = start(service, IMAGE, "a")
    assert recommendations_document(service, IMAGE, "b")["runs"] == 4
    assert found == []
    end()
    assert found[0]["runs"] == 5


def test_what_people_decide_is_never_hidden_by_the_document_before(
    slow_export, record, measure, held_up
):
    start, end = held_up
    record(6)
    measure()
    assert ids(recommendations_document(slow_export, IMAGE, KEY)) == [IDENTIFIER]
    [advice] = advice_book.recommend(gather_evidence(slow_export, IMAGE, KEY))
    record(1)
    start(slow_export, IMAGE, KEY)
    slow_export.tuning.dismiss(advice, pipeline=IMAGE, shape_key=KEY)
    threading.Timer(0.2, end).start()
    assert recommendations_document(slow_export, IMAGE, KEY)["items"] == []


def test_advice_that_could_not_be_worked_out_is_tried_again(service, record, monkeypatch):
    record(5, level=1)

    def broken(*_):
        raise OSError("no disk")

    with monkeypatch.context() as patched:
        patched.setattr(advice_book, "evidence_from", broken)
        with pytest.raises(OSError, match="no disk"):
            recommendations_document(service)
    assert recommendations_document(service)["runs"] == 5


def test_what_workers_tell_is_looked_at_again_after_a_few_seconds(
    service, record, clock, monkeypatch
):
    record(5, level=1)
    assert recommendations_document(service)["items"] == []
    monkeypatch.setattr(advice_evidence, "_histories", lambda _: [DeviceHistory(CARD, HOT, [])])
    clock.forward(seconds=6)
    [warning] = recommendations_document(service)["items"]
    assert (warning["rule"], warning["kind"]) == (RuleId.THROTTLED, "warning")


def test_workers_queue_and_runs_make_the_evidence_of_thrash(service, record, monkeypatch):
    record(10, level=1, queue_s=40.0, stages={"shape": 8.0})
    monkeypatch.setattr(type(service), "worker_status", lambda _: [TWO])
    first = service.run_history.runs()[-1].started_at
    moves = [move | {"at": first.isoformat()} for move in THRASH]
    record(10, level=1, pipeline="cut_out", shape_key="c")  # work of other workers
    monkeypatch.setattr(advice_evidence, "read_moves", lambda _: moves)
    evidence = gather_evidence(service, IMAGE, KEY)
    assert (evidence.queue.n, evidence.queue.wait_s) == (10, 40.0)
    assert evidence.residency.swaps_per_job == pytest.approx(0.8)
    thrash = f"{RuleId.MODEL_THRASH}.job"
    assert thrash in ids(recommendations_document(service, IMAGE, KEY))
    assert gather_evidence(service, "cut_out", "c").residency.swaps_per_job is None


def test_a_job_that_ran_out_of_memory_is_told_of_at_once(service, clock):
    profile = made_profile({"shape": 1.0}, started_at=clock.now(), status=ProfileStatus.FAILED)
    profile.device = "NVIDIA GeForce RTX 4090"
    profile.allocator = {"alloc_retries": 0, "out_of_memory": 1}
    service.run_history.record(
        profile, job_id=None, pipeline=IMAGE, engine={}, settings={}, shape_key=KEY, batch_size=1
    )
    [warning] = recommendations_document(service, IMAGE, KEY)["items"]
    assert (warning["rule"], warning["kind"]) == (RuleId.FRAGMENTED, "warning")


def test_the_lines_of_earlier_versions_follow_the_stored_runs(service, record):
    record(5, level=1)
    lines = recommendations_document(service)["seed_lines"]
    assert lines == ["🔴 CRITICAL: 'mesh_export' takes 60.0% - optimize this first"]
