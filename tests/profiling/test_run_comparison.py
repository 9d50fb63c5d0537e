from __future__ import annotations

import pytest

from backend.errors import NotFound
from backend.profiling.history import RunFilter, RunHistory
from backend.profiling.run_comparison import NOTHING_ALIKE, comparison_document, select_side
from backend.profiling.run_summary import RunStatus
from tests.jobs.conftest import ScriptedClock
from tests.profiling.made_runs import made_profile


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'runs.sqlite3'}"


@pytest.fixture
def versions(url):
    clock = ScriptedClock()
    made = [RunHistory(url, clock, version=version) for version in ("1.0", "1.1")]
    yield made
    for history in made:
        history.close()


def record(history, shape_s, settings=None, shape_key="k", **fields):
    return history.record(
        made_profile({"shape": shape_s, "export": 1.0}),
        job_id=None,
        pipeline="image_to_3d",
        engine={},
        settings=settings or {},
        shape_key=shape_key,
        batch_size=1,
        **fields,
    )


def compared(history, before, after):
    return comparison_document(select_side(history, before), select_side(history, after))


def test_versions_differ_by_the_stage_that_changed(versions):
    old, new = versions
    for n in range(12):
        record(old, 4.0 + n / 100)
        record(new, 2.0 + n / 100)
    record(new, 0.1, status=RunStatus.FAILED)
    found = compared(new, "1.0", "1.1")
    assert (found["before"]["kind"], found["before"]["runs"]) == ("version", 12)
    (work,) = found["items"]
    assert work["total"]["verdict"] == "faster"
    first = work["stages"][0]
    assert (first["stage"], first["share"]) == ("shape", pytest.approx(1.0))
    assert first["change"]["difference_s"] == pytest.approx(-2.0)
    assert found["note"] is None


def test_settings_are_found_by_text_and_by_json(versions):
    history = versions[0]
    record(history, 4.0, {"precision": "fp32", "compile_models": False})
    record(history, 2.0, {"precision": "fp16", "compile_models": True})
    record(history, 3.0, {})
    found = compared(history, "precision=fp32", "precision=fp16")
    assert (found["before"]["runs"], found["after"]["runs"]) == (1, 1)
    assert found["items"][0]["total"]["verdict"] == "too_few", "one run a side decides nothing"
    assert len(select_side(history, "compile_models=true").runs) == 1
    assert len(select_side(history, "compile_models=True").runs) == 1
    assert select_side(history, "precision=int8").runs == ()


def test_two_runs(versions):
    history = versions[0]
    before, after = record(history, 4.0), record(history, 2.0)
    found = compared(history, before, after)
    assert found["before"] == {"kind": "run", "value": before, "runs": 1, "devices": []}
    (work,) = found["items"]
    assert (work["total"]["p50_before_s"], work["total"]["p50_after_s"]) == (5.0, 3.0)
    with pytest.raises(NotFound):
        select_side(history, "0" * 26)


def test_unlike_work_is_not_compared(versions):
    history = versions[0]
    small, large = record(history, 4.0, shape_key="small"), record(history, 2.0, shape_key="large")
    found = compared(history, small, large)
    assert (found["items"], found["note"]) == ([], NOTHING_ALIKE)


def test_each_kind_of_work_is_compared_by_itself(versions):
    old, new = versions
    for history, factor in ((old, 1.0), (new, 2.0)):
        for key, shape_s in (("small", 1.0), ("large", 5.0)):
            for _ in range(1 if key == "small" else 3):
                record(history, shape_s * factor, shape_key=key)
    found = compared(old, "1.0", "1.1")
    ratios = [(w["shape_key"], w["total"]["interval"]["ratio"]) for w in found["items"]]
    assert ratios == [("large", pytest.approx(11 / 6)), ("small", pytest.approx(1.5))]
    assert len(old.runs(RunFilter(version="1.1"))) == 4
