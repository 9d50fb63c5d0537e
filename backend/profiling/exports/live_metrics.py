"""What holds right now as metrics: jobs, queue, workers, models and cards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from backend.profiling.exports.prometheus import Metric, MetricType, Sample
from backend.units import MB

Document = Mapping[str, Any]

_MODEL_COUNTERS = (
    ("loads", "meshkiln_model_loads_total", "Loads of a model from disk since its worker began."),
    ("restores", "meshkiln_model_restores_total", "Returns of a model from host memory to a card."),
    ("evictions", "meshkiln_model_evictions_total", "Times a model made room for another one."),
)
_CARD_GAUGES = (
    ("vram_total_mb", "meshkiln_gpu_memory_total_bytes", "Memory of a card.", MB),
    ("vram_used_mb", "meshkiln_gpu_memory_used_bytes", "Memory of a card in use by anybody.", MB),
    ("gpu_util_pct", "meshkiln_gpu_busy_ratio", "Share of time with work on a card.", 0.01),
    ("power_w", "meshkiln_gpu_power_watts", "Power a card draws.", 1.0),
    ("temp_c", "meshkiln_gpu_temperature_celsius", "Temperature of a card.", 1.0),
)


def job_metrics(
    counts: Mapping[str, int], waiting: Mapping[str, int], failures: Mapping[str, int]
) -> list[Metric]:
    """Describe the stored jobs.

    Parameters
    ----------
    counts : mapping
        Jobs by state.
    waiting : mapping
        Waiting jobs by queue.
    failures : mapping
        Failed jobs by the code of their error.
    """
    return [
        _by("meshkiln_jobs", "Stored jobs by state.", "state", counts),
        _by("meshkiln_queue_depth", "Jobs that wait, by queue.", "queue", waiting),
        _by("meshkiln_failed_jobs", "Stored jobs that failed, by error.", "code", failures),
    ]


def worker_metrics(beats: Sequence[Document], ages_s: Sequence[float | None]) -> list[Metric]:
    """Describe the workers.

    Parameters
    ----------
    beats : sequence of mapping
        Their heartbeats.
    ages_s : sequence of float or None
        Age of each heartbeat in seconds.
    """
    named = [_worker_labels(beat) for beat in beats]
    busy = [
        Sample(beat.get("state") == "busy", who) for beat, who in zip(beats, named, strict=True)
    ]
    ages = [Sample(age_s, who) for age_s, who in zip(ages_s, named, strict=True)]
    return [
        _gauge("meshkiln_worker_heartbeat_age_seconds", "Time since a worker spoke.", ages),
        _gauge("meshkiln_worker_busy", "1 while a worker runs a job.", busy),
    ]


def worker_count(beats: Sequence[Document], queues: Iterable[str]) -> Metric:
    """Count the workers of every queue; 0 for one that nobody serves."""
    found = dict.fromkeys(queues, 0)
    for beat in beats:
        queue = str(beat.get("queue"))
        found[queue] = found.get(queue, 0) + 1
    return _by("meshkiln_workers", "Workers that spoke within five seconds.", "queue", found)


def residency_metrics(beats: Sequence[Document]) -> list[Metric]:
    """Describe the models of every worker."""
    models = [(_worker_labels(beat), model) for beat in beats for model in beat.get("models") or []]
    sizes = [
        Sample(_scaled(model.get(key), MB), {**who, **_model(model), "memory": memory})
        for who, model in models
        for key, memory in (("vram_mb", "device"), ("ram_mb", "host"))
    ]
    times = [
        Sample((model.get("last_restore") or {}).get("elapsed_s"), {**who, **_model(model)})
        for who, model in models
    ]
    counters = [
        Metric(
            name,
            MetricType.COUNTER,
            text,
            [Sample(model.get(key), {**who, "model": str(model["name"])}) for who, model in models],
        )
        for key, name, text in _MODEL_COUNTERS
    ]
    return [
        _gauge("meshkiln_residency_bytes", "Memory a model holds, by its state.", sizes),
        _gauge("meshkiln_model_last_restore_seconds", "Time of the last return to a card.", times),
        *counters,
    ]


def card_metrics(cards: Sequence[Document]) -> list[Metric]:
    """Describe the cards; what cannot be read is left out."""
    return [
        _gauge(
            name,
            text,
            [Sample(_scaled(card.get(key), factor), _card(card)) for card in cards],
        )
        for key, name, text, factor in _CARD_GAUGES
    ]


def build_metric(version: str) -> Metric:
    """Name the version that runs."""
    return _gauge("meshkiln_build_info", "1, with the version.", [Sample(1, {"version": version})])


def _worker_labels(beat: Document) -> dict[str, str]:
    return {key: str(beat.get(key)) for key in ("queue", "host", "pid")}


def _model(model: Document) -> dict[str, str]:
    return {"model": str(model["name"]), "state": str(model.get("state"))}


def _card(card: Document) -> dict[str, str]:
    return {"gpu": str(card.get("index")), "name": str(card.get("name"))}


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _by(name: str, text: str, label: str, values: Mapping[str, int]) -> Metric:
    return _gauge(name, text, [Sample(count, {label: key}) for key, count in values.items()])


def _gauge(name: str, text: str, samples: Sequence[Sample]) -> Metric:
    return Metric(name, MetricType.GAUGE, text, samples)
