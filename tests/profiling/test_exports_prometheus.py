from __future__ import annotations

import math
import re

import pytest

from backend.profiling.exports import live_metrics
from backend.profiling.exports.prometheus import (
    BUCKETS_S,
    Histogram,
    Metric,
    MetricType,
    Sample,
    exposition,
    number,
)
from backend.profiling.exports.run_tally import RunTally
from backend.profiling.run_summary import RunStatus
from tests.profiling.export_runs import stage, summary

LINE = re.compile(
    r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)"
    r'(?:\{(?P<labels>[a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\"n])*"(?:,[a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\"n])*")*)\})?'
    r" (?P<value>[+-]?(?:Inf|NaN|[0-9.e+-]+))"
)
PAIR = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def read(text):
    """Read text format 0.0.4 strictly: samples by name and labels, types by metric."""
    assert text == "" or text.endswith("\n")
    samples, types = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in types
            types[name] = kind
        elif not line.startswith("# HELP "):
            found = LINE.fullmatch(line)
            assert found, line
            labels = {
                key: re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], value)
                for key, value in PAIR.findall(found["labels"] or "")
            }
            key = (found["name"], frozenset(labels.items()))
            assert key not in samples
            samples[key] = float(found["value"])
            family = re.sub(r"_(bucket|sum|count)$", "", found["name"])
            assert found["name"] in types or types.get(family) == "histogram", line
    return samples, types


def value(samples, metric, /, **labels):
    return samples[metric, frozenset(labels.items())]


def text_of(*metrics):
    return read(exposition(metrics))


def test_help_and_type_come_once_and_first():
    samples = [Sample(1, {"state": "a"}), Sample(2.5, {"state": "b"})]
    assert exposition([Metric("jobs", MetricType.GAUGE, "All\njobs \\.", samples)]) == (
        '# HELP jobs All\\njobs \\\\.\n# TYPE jobs gauge\njobs{state="a"} 1\njobs{state="b"} 2.5\n'
    )


def test_labels_are_escaped():
    hostile = 'a"} 5\nfake{x="\\'
    samples, _ = text_of(Metric("m", MetricType.GAUGE, "h", [Sample(1, {"name": hostile})]))
    assert samples == {("m", frozenset({("name", hostile)})): 1.0}


def test_unknown_is_left_out_and_zero_is_not():
    assert exposition([Metric("m", MetricType.GAUGE, "h", [Sample(None)])]) == ""
    assert exposition([Metric("m", MetricType.GAUGE, "h", [Sample(0)])]).endswith("m 0\n")


@pytest.mark.parametrize("given", [0.0, 1e15, 1e300, 0.1, 123456789.0, -3.5, math.inf, -math.inf])
def test_numbers_are_read_back_as_they_were(given):
    assert float(number(given)) == given


def test_a_histogram_is_cumulative_and_a_bound_belongs_below():
    histogram = Histogram((1.0, 5.0))
    for seconds in (0.5, 1.0, 1.5, 99.0):
        histogram.observe(seconds)
    samples, _ = text_of(Metric("h", MetricType.HISTOGRAM, "x", histogram.samples({"a": "b"})))
    counts = [value(samples, "h_bucket", a="b", le=le) for le in ("1", "5", "+Inf")]
    assert counts == [2, 3, 4]
    assert value(samples, "h_sum", a="b") == 102.0
    assert value(samples, "h_count", a="b") == 4 == histogram.count


def test_buckets_span_what_stages_take():
    assert (BUCKETS_S[0], BUCKETS_S[-1]) == (0.05, 600.0)
    assert list(BUCKETS_S) == sorted(set(BUCKETS_S))


def test_runs_are_counted_once_whatever_the_history_forgets():
    tally = RunTally()
    a, b, c = (summary(name, stage("shape", 2.0), queue_s=1.0) for name in "abc")
    tally.count([b, a])
    assert tally.uncounted(["a", "b", "c"]) == ["c"]
    tally.count([c, b])  # the history has forgotten a
    tally.forget_below("c")
    tally.count([c])
    samples, types = text_of(*tally.metrics())
    assert types["meshkiln_stage_seconds"] == "histogram"
    labels = {"pipeline": "image_to_3d", "stage": "shape", "kind": "cpu"}
    assert value(samples, "meshkiln_stage_seconds_count", **labels) == 3
    assert value(samples, "meshkiln_stage_seconds_sum", **labels) == 6.0
    assert value(samples, "meshkiln_stage_seconds_bucket", **labels, le="1") == 0
    assert value(samples, "meshkiln_stage_seconds_bucket", **labels, le="2.5") == 3
    assert value(samples, "meshkiln_run_queue_seconds_sum", pipeline="image_to_3d") == 3.0


def test_failed_runs_are_told_apart_and_their_stages_left_out():
    tally = RunTally()
    tally.count([summary("a", stage("shape", 2.0), status=RunStatus.FAILED)])
    samples, types = text_of(*tally.metrics())
    labels = {"pipeline": "image_to_3d", "status": "failed"}
    assert value(samples, "meshkiln_run_seconds_count", **labels) == 1
    assert set(types) == {"meshkiln_run_seconds"}  # no wait was known either


BEAT = {
    "queue": "gpu",
    "host": "box",
    "pid": 7,
    "state": "busy",
    "models": [
        {
            "name": "tiny",
            "state": "host",
            "vram_mb": 0.0,
            "ram_mb": 2.0,
            "loads": 3,
            "evictions": 1,
            "last_restore": {"elapsed_s": 0.25},
        },
        {"name": "new", "state": "unloaded", "vram_mb": None, "last_restore": None},
    ],
}
WHO = {"queue": "gpu", "host": "box", "pid": "7"}


def test_workers_are_named_and_missing_ones_are_zero():
    samples, _ = text_of(
        live_metrics.worker_count([BEAT], ["gpu", "cpu"]),
        *live_metrics.worker_metrics([BEAT], [0.75]),
    )
    assert value(samples, "meshkiln_workers", queue="gpu") == 1
    assert value(samples, "meshkiln_workers", queue="cpu") == 0
    assert value(samples, "meshkiln_worker_heartbeat_age_seconds", **WHO) == 0.75
    assert value(samples, "meshkiln_worker_busy", **WHO) == 1


def test_models_tell_bytes_by_state_and_what_happened_to_them():
    samples, types = text_of(*live_metrics.residency_metrics([BEAT]))
    tiny = {**WHO, "model": "tiny"}
    held = {**tiny, "state": "host"}
    assert value(samples, "meshkiln_residency_bytes", **held, memory="host") == 2 * 1024 * 1024
    assert value(samples, "meshkiln_residency_bytes", **held, memory="device") == 0
    assert value(samples, "meshkiln_model_loads_total", **tiny) == 3
    assert value(samples, "meshkiln_model_evictions_total", **tiny) == 1
    assert value(samples, "meshkiln_model_last_restore_seconds", **held) == 0.25
    assert types["meshkiln_model_evictions_total"] == "counter"
    assert not [name for name, labels in samples if ("model", "new") in labels]


def test_cards_are_in_base_units():
    card = {"index": 0, "name": "A", "vram_used_mb": 1.5, "gpu_util_pct": 50, "power_w": None}
    samples, _ = text_of(*live_metrics.card_metrics([card]))
    assert value(samples, "meshkiln_gpu_memory_used_bytes", gpu="0", name="A") == 1.5 * 1024**2
    assert value(samples, "meshkiln_gpu_busy_ratio", gpu="0", name="A") == 0.5
    assert not [name for name, _ in samples if "power" in name]
