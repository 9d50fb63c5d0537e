"""Advice, applied advice, batches and the before/after picture on the performance page."""

from __future__ import annotations

import re

import pytest

from backend.profiling.comparison import compare_runs
from backend.web.charts.before_after import before_after
from backend.web.pages import performance as page_module
from backend.web.pages.advice_view import advice_panel
from backend.web.pages.performance_view import performance_view
from backend.web.pages.run_comparison import chosen_sides, comparison_choices
from tests.pages.test_performance_page import (
    HOSTILE,
    document,
    page,
    row,
    run,
    text_of,
    two_versions,
)

COMPRESSION = {
    "setting": "export_compression", "from": 9, "to": 1, "needs_restart": False, "available": True,
}  # fmt: skip
GAIN = {"s_per_job": 0.24, "pct": 12.0, "low": 0.2, "high": 0.28, "ceiling": 0.36}


def item(name="slow_encoding", **more):
    return {
        "id": f"{name}.mesh_export", "rule": name, "stage": "mesh_export", "kind": "advice",
        "evidence": {"now_s": 0.41, "faster_s": 0.17, "level": 9, "n": 29, "window": "200 runs"},
        "gain": GAIN, "method": "amdahl", "confidence": "medium", "quality_risk": "none",
        "action": COMPRESSION, "may_auto_apply": True, "title": "Write with compression 1",
        "detail": "Files get larger, nothing is lost.", "seed_text": None, "verify": None,
    } | more  # fmt: skip


WARNING = item("throttled", kind="warning", gain=None, action=None, confidence="high",
               title="The GPU slows itself down: heat", detail="Look at airflow.")  # fmt: skip
TO_MEASURE = item(
    "idle_timeout", kind="experiment", confidence="low", title="Keep idle models on the GPU",
    action=COMPRESSION | {"setting": "idle_offload_s", "from": 60.0, "to": -1.0},
)  # fmt: skip
BETWEEN = item("idle_timeout", title="Keep idle models on the GPU",
               action=COMPRESSION | {"setting": "idle_offload_s", "from": 60.0, "to": -1.0,
                                     "available": False})  # fmt: skip
LOSSY = item("steps", quality_risk="lossy", title="Try 20 instead of 50 steps",
             action=COMPRESSION | {"setting": "steps", "from": 50, "to": 20})  # fmt: skip
CLOSED = item("pageable_copies", title="Keep weights in page-locked memory",
              action=COMPRESSION | {"setting": "pinned_memory", "from": None, "to": True,
                                    "available": False})  # fmt: skip


def experiment(state, **more):
    return {
        "id": "slow_encoding.mesh_export", "pipeline": "image_to_3d", "shape_key": "draft-256",
        "title": f"Advice {state}", "setting": "export_compression", "from": 9, "to": 1,
        "state": state, "reason": None, "ratio": None, "ci": None, "pairs_done": 0, "pairs": 5,
        "applied_at": "2026-11-21T12:00:00.000Z", "decided_at": None,
    } | more  # fmt: skip


DECIDED = {"decided_at": "2026-11-21T12:20:00.000Z", "pairs_done": 5}
EXPERIMENTS = [
    experiment("applied", pairs_done=3, ratio=1.29),
    experiment("confirmed", ratio=1.31, ci=[1.22, 1.40], **DECIDED),
    experiment("no_effect", ratio=1.01, ci=[0.97, 1.02], **DECIDED),
    experiment("not_clear", ratio=1.08, ci=[0.96, 1.21], pairs=11, **DECIDED | {"pairs_done": 11}),
    experiment("auto_reverted", reason="slower", ratio=0.62, ci=[0.55, 0.7], **DECIDED),
    experiment("dismissed", applied_at=None, decided_at="2026-11-21T12:20:00.000Z"),
]


def advised(*items, experiments=(), note=None):
    return {"items": list(items), "experiments": list(experiments), "note": note}


FULL = document(
    two_versions(),
    advice=advised(WARNING, item(), TO_MEASURE, LOSSY, CLOSED, experiments=EXPERIMENTS),
)


@pytest.fixture
def said(monkeypatch):
    """What the page is told; tests put a document of their own in."""
    holder = {"document": FULL}
    monkeypatch.setattr(
        page_module, "performance_document", lambda service, wanted=None: holder["document"]
    )
    return holder


def entry(html, advice_id):
    return re.search(rf'<li [^>]*data-advice="{re.escape(advice_id)}".*?</li>', html, re.DOTALL)[0]


def experiment_of(html, state):
    return re.search(rf'<tr [^>]*data-state="{state}".*?</tr>', html, re.DOTALL)[0]


def verdict(html):
    return html[html.index('id="perf-first"') : html.index('id="advice-title"')]


def test_verdict_ends_with_the_first_advice_and_its_button(client, said):
    said["document"] = document(advice=advised(item()))
    part = verdict(page(client))
    text = text_of(part)
    assert "Advice: Write with compression 1." in text
    assert "Saves about 0.24 s per job (0.20 to 0.28), at most 0.36 s (n = 29)." in text
    assert 'action="/api/performance/recommendations/slow_encoding.mesh_export/apply"' in part
    assert "Apply" in text


def test_a_warning_in_the_verdict_has_neither_seconds_nor_a_button(client, said):
    part = verdict(page(client))
    assert "Warning: The GPU slows itself down: heat." in text_of(part)
    assert "Saves" not in part
    assert "<form" not in part


def test_forms_carry_the_token_and_the_work_that_is_shown(client, said):
    part = entry(page(client), "slow_encoding.mesh_export")
    token = client.get_cookie("mk_csrf").value
    forms = re.findall(r"<form.*?</form>", part, re.DOTALL)
    assert [re.search(r'action="[^"]*/(\w+)"', form)[1] for form in forms] == ["apply", "dismiss"]
    for form in forms:
        assert 'method="post"' in form
        assert f'name="csrf_token" value="{token}"' in form
        assert 'name="pipeline" value="image_to_3d"' in form
        assert 'name="shape_key" value="draft-256"' in form


def test_advice_tells_gain_confidence_risk_and_change(client, said):
    text = text_of(entry(page(client), "slow_encoding.mesh_export"))
    for phrase in (
        "about 0.24 s per job (0.20 to 0.28), at most 0.36 s (n = 29)",
        "medium: worked out from times measured here", "none: the result stays the same",
        "Compression of OBJ archives and PNG files: 9 → to 1", "Now 0.41 s", "Level 9",
        "Worked out by the stage&#39;s share of the job",
    ):  # fmt: skip
        assert phrase in text, phrase


def test_order_of_the_document_is_kept_and_kinds_are_words(client, said):
    html = page(client)
    found = re.findall(r'data-advice="(\w+)\.', html)
    assert found == ["throttled", "slow_encoding", "idle_timeout", "steps", "pageable_copies"]
    for name, words in (("throttled", "Warning"), ("idle_timeout", "Worth measuring")):
        assert words in text_of(entry(html, f"{name}.mesh_export"))


@pytest.mark.parametrize(
    ("advice", "label"),
    [
        (item(), "Apply"), (TO_MEASURE, "Measure"), (LOSSY, None), (CLOSED, None),
        (BETWEEN, None), (WARNING, None),
    ],
    ids=["advice", "experiment", "lossy", "closed", "between", "warning"],
)  # fmt: skip
def test_only_what_may_be_changed_here_can_be_applied_and_all_can_be_dismissed(
    client, said, advice, label
):
    said["document"] = document(advice=advised(advice))
    part = entry(page(client), advice["id"])
    labels = re.findall(r"<button[^>]*>(\w+)", part)
    assert labels == ([label, "Dismiss"] if label else ["Dismiss"])
    assert ("change it on the GPU page" in part) is (advice is BETWEEN)


def test_closed_change_says_so_and_never_is_a_word(client, said):
    html = page(client)
    assert "This page cannot change it." in text_of(entry(html, "pageable_copies.mesh_export"))
    assert "60 s → to never" in text_of(entry(html, "idle_timeout.mesh_export"))
    assert "not set → to on" in text_of(entry(html, "pageable_copies.mesh_export"))


@pytest.mark.parametrize(
    ("state", "words", "has_form"),
    [
        ("applied", "On trial : Write with compression 1", False),
        ("confirmed", "Write with compression 1 Advice confirmed", False),
        ("proposed", "Apply : Write with compression 1", True),
        ("dismissed", "Apply : Write with compression 1", True),
    ],
)
def test_advice_on_trial_cannot_be_applied_twice(client, said, state, words, has_form):
    said["document"] = document(advice=advised(item(verify={"state": state, "reason": None})))
    html = page(client)
    part = entry(html, "slow_encoding.mesh_export")
    assert words in text_of(part)
    assert ("<form" in part) is ("<form" in verdict(html)) is has_form
    assert ('aria-disabled="true"' in part) is (state == "applied")


def test_change_that_needs_a_restart_has_no_button(client, said):
    said["document"] = document(advice=advised(item(action=COMPRESSION | {"needs_restart": True})))
    part = entry(page(client), "slow_encoding.mesh_export")
    assert re.findall(r"<button[^>]*>(\w+)", part) == ["Dismiss"]
    assert "This page cannot change it." in part


def test_forms_name_no_work_that_has_no_key(client, said):
    runs = [run(n, shape_key=None) for n in range(5)]
    said["document"] = document(runs, advice=advised(item()))
    part = entry(page(client), "slow_encoding.mesh_export")
    assert 'name="pipeline"' not in part
    assert 'name="shape_key"' not in part


def test_no_range_is_written_where_there_is_none(client, said):
    flat = GAIN | {"low": 0.2401, "high": 0.2399}
    said["document"] = document(advice=advised(item(gain=flat)))
    text = text_of(entry(page(client), "slow_encoding.mesh_export"))
    assert "about 0.24 s per job , at most 0.36 s" in text


def test_states_of_experiments_are_words(client, said):
    html = page(client)
    said_of = {e["state"]: text_of(experiment_of(html, e["state"])) for e in EXPERIMENTS}
    assert "on trial, 3 of 5 pairs" in said_of["applied"]
    assert "1.29x as fast" in said_of["applied"]
    assert "confirmed 1.31x as fast (1.22 to 1.40)" in said_of["confirmed"]
    assert "no gain of 3 % or more 1.01x as fast (0.97 to 1.02)" in said_of["no_effect"]
    assert "not clear 1.08x as fast (0.96 to 1.21)" in said_of["not_clear"]
    assert "beyond chance 1" not in text_of(html)
    assert "Not clear: the jobs scattered too much" in text_of(html)
    assert "pairs are added, up to 11." in text_of(html)
    assert "taken back: slower 0.62x as fast (0.55 to 0.70)" in said_of["auto_reverted"]
    assert "dismissed not measured never 2026-11-21 12:20:00" in said_of["dismissed"]
    assert "2026-11-21 12:00:00 not yet" in said_of["applied"]
    assert "On trial: Advice applied." in text_of(html)


def test_trial_that_was_ended_by_hand_was_taken_back():
    ended = experiment("dismissed", **DECIDED)
    assert advice_panel(advised(experiments=[ended])).experiments[0].standing == "taken back"


def test_only_what_is_in_force_can_be_reverted(client, said):
    html = page(client)
    found = {e["state"]: "/revert" in experiment_of(html, e["state"]) for e in EXPERIMENTS}
    assert found == {
        "applied": True, "confirmed": True, "no_effect": False, "not_clear": False,
        "auto_reverted": False, "dismissed": False,
    }  # fmt: skip


def test_reverts_by_memory_and_by_failures_are_told_apart():
    rows = advice_panel(
        advised(
            experiments=[
                experiment("auto_reverted", reason="out_of_memory"),
                experiment("auto_reverted", reason="failures"),
            ]
        )
    ).experiments
    assert [r.standing for r in rows] == [
        "taken back: a job ran out of memory",
        "taken back: jobs failed",
    ]


def test_ids_are_unique_with_every_state_at_once(client, said):
    changed = [e | {"id": f"rule{n}.x"} for n, e in enumerate(EXPERIMENTS)]
    said["document"] = document(
        two_versions(), advice=advised(item(), TO_MEASURE, experiments=changed)
    )
    ids = re.findall(r'\sid="([^"]+)"', page(client, "/performance?before=1.0&after=1.1"))
    assert sorted(ids) == sorted(set(ids))


def test_without_advice_the_note_is_shown(client, said):
    said["document"] = document(advice=advised(note="Advice needs 5 finished runs; 2 are there."))
    text = text_of(page(client))
    assert "Advice needs 5 finished runs; 2 are there." in text
    assert "Applied advice" not in text
    assert "perf-first" not in page(client)


def test_words_of_others_are_escaped(client, said):
    change = COMPRESSION | {"setting": HOSTILE, "from": HOSTILE, "to": HOSTILE}
    facts = {HOSTILE: HOSTILE, "n": 5}
    hostile = item(id=HOSTILE, title=HOSTILE, detail=HOSTILE, evidence=facts, action=change)
    tried = experiment("applied", id=HOSTILE, title=HOSTILE, setting=HOSTILE, pipeline=HOSTILE)
    said["document"] = document(advice=advised(hostile, experiments=[tried]))
    assert "<img src=x" not in page(client).lower()


def test_live_answer_updates_every_card_that_changes(client, said):
    html = page(client, "/performance/live")
    whole = page(client)
    updated = re.findall(r'<div id="(perf-[\w-]+)" hx-swap-oob="innerMorph">', html)
    cards = {"perf-waterfall-card", "perf-stages-card", "perf-flow-card", "perf-runs-card"}
    assert cards <= set(updated)
    for name in updated:
        assert whole.count(f'id="{name}"') == 1
    assert 'id="advice-list"' in html
    assert 'id="perf-experiments"' in html


def batched(sizes):
    return document([run(n, batch_size=size) for n, size in enumerate(sizes)])


def test_batches_are_counted_by_size(client, said):
    said["document"] = batched([1, 1, 1, 4, 4, None])
    html = page(client)
    picture = html[html.index('id="batches-title"') :]
    assert "5 finished runs" in text_of(picture)
    table = picture[picture.index("<table") : picture.index("</table>")]
    assert re.findall(r'<th scope="row">(\d+)</th><td>(\d+)</td>', table) == [
        ("1", "3"), ("2", "0"), ("3", "0"), ("4", "2"),
    ]  # fmt: skip


def test_batches_of_one_need_no_picture(client, said):
    said["document"] = batched([1, 1, 1])
    assert "Every job ran alone: batches of 1." in text_of(page(client))
    said["document"] = batched([None, None])
    assert "No finished run has told the size of its batch." in text_of(page(client))


def test_comparison_is_drawn_with_ratio_interval_and_verdict(client, said):
    html = page(client, "/performance?before=1.0&after=1.1")
    picture = html[html.index('class="perf-pairs"') :]
    picture = picture[: picture.index("</svg>")]
    text = text_of(picture)
    assert text.count("▼ faster") == 3
    assert re.search(r"ratio 0\.80 \(0\.\d\d to 0\.\d\d\)", text)
    assert "6.01 s" in text  # shape generation before, and what it took after
    assert "4.81 s" in text
    cells = row(html, "data-stage", "shape_generation", "comparison-result")
    assert re.search(r"0\.80 \(0\.\d\d to 0\.\d\d\)", cells)


def test_stage_of_one_side_only_is_drawn_as_such(client, said):
    runs = [run(n, version="1.1") for n in range(5)]
    gone = [{"name": "old_step", "kind": "cpu", "elapsed_s": 2.0, "gpu_s": None, "peak_mb": None}]
    runs += [run(n, stages=gone, total_s=2.0) for n in range(5, 10)]
    said["document"] = document(runs)
    html = page(client, "/performance?before=1.0&after=1.1")
    picture = text_of(html[html.index('class="perf-pairs"') :].split("</svg>")[0])
    assert "Old step" in picture
    assert "did not run after" in picture
    assert "did not run before" in picture


def test_form_begins_with_two_sides_that_differ(client, said):
    html = page(client)
    form = html[html.index('id="perf-compare"') :].split("</form>")[0]
    assert re.findall(r'<option value="([^"]+)" selected>', form) == ["1.0", "1.1"]


def test_form_prefers_versions_then_a_changed_setting_then_single_runs():
    assert chosen_sides(two_versions(), (None, None)) == ("1.0", "1.1")
    changed = [run(n, settings={"level": 1, "mode": "x"}) for n in range(3)]
    changed += [run(n, settings={"level": 9, "mode": "x"}) for n in range(3, 6)]
    assert chosen_sides(changed, (None, None)) == ("level=9", "level=1")
    assert chosen_sides([run(0), run(1)], (None, None)) == ("run001", "run000")
    assert chosen_sides([run(0)], (None, None)) == (None, None)
    assert chosen_sides([], (None, None)) == (None, None)
    assert chosen_sides(two_versions(), ("run003", "run004")) == ("run003", "run004")


def test_form_says_when_there_is_one_version_only(client, said):
    said["document"] = document()
    text = text_of(page(client))
    assert "All of them are of version 1.0, so there are no two versions to compare." in text
    assert comparison_choices([run(0), run(1)])["Versions"] == []
    said["document"] = FULL
    assert "no two versions" not in text_of(page(client))


def test_columns_nothing_is_known_for_are_left_out(client, said):
    html = page(client)
    stages = html[html.index('id="perf-stages"') :].split("</table>")[0]
    assert "Peak memory" not in stages
    assert "90 % within" not in stages
    assert text_of(html).count("is told from 29 runs on") == 1
    runs = [run(n, device="NVIDIA H200") for n in range(29)]
    for stage in runs[0]["stages"]:
        stage["peak_mb"] = 2048.0
    said["document"] = document(runs)
    html = page(client)
    assert "2.0 GB" in row(html, "data-stage", "mesh_export", "perf-stages")
    assert "90 % within" in html
    assert "is told from 29 runs on" not in text_of(html)
    assert "NVIDIA H200" in row(html, "data-run", "run000")


def test_unmeasured_targets_are_folded_away(client, said):
    html = page(client)
    folded = html[html.index('class="targets-open"') :].split("</details>")[0]
    assert "1 target not measured" in text_of(folded)
    assert re.findall(r'data-target="(\w+)"', folded) == ["parts"]
    assert 'data-target="image_cold"' in html.split('class="targets-open"')[0]


def test_before_after_keeps_what_moved_most():
    before = [{f"stage{n}": 1.0 for n in range(20)} for _ in range(5)]
    after = [{f"stage{n}": 1.0 + n for n in range(20)} for _ in range(5)]
    chart = before_after(compare_runs(before, after))
    assert chart.rows[0].name == "stage19"
    assert chart.left_out == 8
    assert performance_view(FULL)["comparison"] is None


def test_kind_of_work_does_not_name_its_pipeline_twice(client, said):
    key = "image_to_3d:standard:auto:textured"
    said["document"] = document([run(n, shape_key=key) for n in range(5)])
    html = page(client)
    assert "Image to 3d · standard, auto, textured, 5 finished runs" in text_of(html)
    assert "Image to 3d standard, auto, textured" in row(html, "data-run", "run000")
