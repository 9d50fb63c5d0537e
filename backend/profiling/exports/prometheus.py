"""Metrics as text for Prometheus, version 0.0.4 of its format.

Source
------
"Exposition formats" of the Prometheus documentation: HELP and TYPE once per metric, labels in
double quotes with backslash, quote and line feed escaped, cumulative histogram buckets that end
with ``+Inf``.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS_S = (
    0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 45.0, 60.0, 120.0, 180.0, 300.0, 600.0,
)  # fmt: skip

Labels = Mapping[str, str]


class MetricType(StrEnum):
    """What a metric promises: a gauge may fall, a counter does not, a histogram counts by size."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True)
class Sample:
    """One value of a metric; None is unknown and left out."""

    value: float | None
    labels: Labels = field(default_factory=dict)
    suffix: str = ""


@dataclass(frozen=True)
class Metric:
    """A metric and its values.

    Parameters
    ----------
    name : str
        With its unit, such as ``meshkiln_run_seconds``.
    help : str
        One sentence.
    """

    name: str
    type: MetricType
    help: str
    samples: Sequence[Sample]


class Histogram:
    """Counts of values by size, for one set of labels.

    Parameters
    ----------
    bounds : sequence of float
        Upper bounds of the buckets, ascending; what is above the last is counted too.
    """

    def __init__(self, bounds: Sequence[float] = BUCKETS_S) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum = 0.0

    @property
    def count(self) -> int:
        """Number of values."""
        return sum(self._counts)

    def observe(self, value: float) -> None:
        """Count a value; one on a bound belongs to the bucket below it."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def observe_all(self, values: Iterable[float]) -> None:
        """Count many values, faster than one by one."""
        bounds, counts, total = self._bounds, self._counts, 0.0
        for value in values:
            counts[bisect_left(bounds, value)] += 1
            total += value
        self._sum += total

    def to_document(self) -> dict[str, Any]:
        """Return it JSON-ready."""
        return {"bounds": [*self._bounds], "counts": [*self._counts], "sum": self._sum}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Histogram:
        """Read what ``to_document`` wrote.

        Raises
        ------
        KeyError, ValueError
            It is no histogram, or has a count too few or too many.
        """
        made = cls(document["bounds"])
        if len(document["counts"]) != len(made._counts):
            raise ValueError("a histogram has one count more than bounds")
        made._counts, made._sum = [*document["counts"]], float(document["sum"])
        return made

    def samples(self, labels: Labels) -> list[Sample]:
        """List the cumulative buckets, the sum and the count."""
        found, total = [], 0
        for bound, count in zip((*self._bounds, math.inf), self._counts, strict=True):
            total += count
            found.append(Sample(total, {**labels, "le": number(bound)}, "_bucket"))
        return [*found, Sample(self._sum, labels, "_sum"), Sample(total, labels, "_count")]


def exposition(metrics: Iterable[Metric]) -> str:
    """Write metrics as text.

    Returns
    -------
    str
        Metrics without any known value are left out; every line ends in a line feed.
    """
    lines: list[str] = []
    for metric in metrics:
        values = [_line(metric.name, sample) for sample in metric.samples if _is_known(sample)]
        if values:
            lines.append(f"# HELP {metric.name} {_escaped_help(metric.help)}\n")
            lines.append(f"# TYPE {metric.name} {metric.type}\n")
            lines += values
    return "".join(lines)


def number(value: float) -> str:
    """Write a value as Prometheus reads it.

    >>> number(3), number(0.05), number(10.0), number(float("inf")), number(float("nan"))
    ('3', '0.05', '10', '+Inf', 'NaN')
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))


def _is_known(sample: Sample) -> bool:
    return sample.value is not None


def _line(name: str, sample: Sample) -> str:
    pairs = ",".join(f'{key}="{_escaped(value)}"' for key, value in sample.labels.items())
    labels = f"{{{pairs}}}" if pairs else ""
    return f"{name}{sample.suffix}{labels} {number(sample.value or 0.0)}\n"


def _escaped(text: str) -> str:
    return _escaped_help(text).replace('"', r"\"")


def _escaped_help(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")
