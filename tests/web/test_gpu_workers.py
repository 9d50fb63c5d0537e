from __future__ import annotations

import pytest

from backend.errors import GpuBusy, ModelLeased, UnknownModel
from backend.jobs.gpu_commands import CommandKind
from backend.jobs.gpu_settings import kept_settings
from backend.web.api.gpu_control import _refuse_leased, _sum_up
from backend.web.api.gpu_workers import busiest, devices_of, in_order, models_of, residency_of


def beat(index, state="idle", model_state="unloaded", leases=0, **more):
    vram_mb = 10.0 * (model_state == "resident")
    model = {
        "name": "a", "state": model_state, "vram_mb": vram_mb, "ram_mb": 1.0, "leases": leases,
        "loads": 1, "evictions": 0, "error": None,
    }  # fmt: skip
    moved = {"at": f"2026-01-01T00:00:0{index}Z", "model": "a"}
    return {
        "pid": 10 + index,
        "host": "h",
        "state": state,
        "device": {"devices": [{"index": index, "uuid": f"GPU-{index}"}]},
        "models": [model],
        "residency": {"policy": "auto", "switches": 2, "transitions": [moved]},
    } | more


def test_two_workers_are_shown_as_one_whatever_the_order_of_their_beats():
    first, second = beat(0), beat(1, "busy", "resident", leases=1)
    for beats in ([first, second], [second, first]):
        ordered = in_order(beats)
        assert [d["uuid"] for d in devices_of(ordered)] == ["GPU-0", "GPU-1"]
        (model,) = models_of(ordered)
        assert (model["state"], model["leases"], model["vram_mb"]) == ("resident", 1, 10)
        residency = residency_of(ordered)
        assert residency["switches"] == 4
        assert [t["at"][-2] for t in residency["transitions"]] == ["1", "0"]
        assert busiest(ordered)["pid"] == 11


def test_nothing_is_made_of_nothing():
    assert (in_order([]), devices_of([]), models_of([])) == ([], [], [])
    assert residency_of([{"residency": None}]) is None
    assert busiest([]) is None


def problem(code):
    return {"problem": {"code": code, "detail": code, "advice": "", "status": 409}}


def done(**models):
    words = set(models.values())
    status = next((w for w in ("started", "draining", "done") if w in words), "done")
    return {"status": status, "models": models}


@pytest.mark.parametrize(
    ("answers", "status"),
    [
        ([done(a="done"), done(a="done")], "done"),
        ([done(a="done"), done(a="draining")], "draining"),
        ([done(a="done"), None], "pending"),
        ([None, problem("unknown-model")], "pending"),
        ([done(a="done"), problem("unknown-model")], "done"),
    ],
)
def test_answers_of_several_workers_are_summed_up(answers, status):
    assert _sum_up(answers)["status"] == status


def test_the_worst_outcome_of_a_model_counts_and_a_refusal_outranks_all():
    assert _sum_up([done(a="draining"), done(a="done")])["models"] == {"a": "draining"}
    with pytest.raises(ModelLeased):
        _sum_up([problem("unknown-model"), problem("model-leased")])
    with pytest.raises(GpuBusy):
        _sum_up([None, problem("gpu-busy")])
    with pytest.raises(UnknownModel):
        _sum_up([problem("unknown-model"), problem("unknown-model")])


def test_a_leased_model_is_refused_before_any_worker_acts():
    beats = [beat(0), beat(1, "busy", "resident", leases=1)]
    for model in (None, "a"):
        with pytest.raises(ModelLeased):
            _refuse_leased(beats, CommandKind.RELEASE, {"model": model, "drain": False})
    _refuse_leased(beats, CommandKind.RELEASE, {"model": None, "drain": True})
    _refuse_leased(beats, CommandKind.RELEASE, {"model": "b", "drain": False})


def test_settings_are_kept_though_no_worker_runs(live_server):
    redis = live_server.service.events.client
    redis.flushall()
    answer = live_server.client.post("/api/gpu/settings", json={"idle_offload_s": 5})
    assert (answer.status_code, answer.json["status"]) == (202, "pending")
    assert kept_settings(redis) == {"idle_offload_s": 5.0}
