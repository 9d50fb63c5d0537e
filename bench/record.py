"""Figures of a benchmark: a table for the reader, JSON with the circumstances for the record."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from backend.gpu.telemetry import device_status
from backend.units import SystemClock, iso

VERSIONS = ("celery", "flask", "numpy", "opencv-python-headless", "redis", "scipy", "trimesh")


@dataclass(frozen=True)
class Figure:
    """One measured quantity.

    Parameters
    ----------
    name, unit : str
        What was measured, and in what.
    n : int
        Number of measurements.
    median, p90, p95, low, high : float
        In ``unit``; the percentiles only where ``n`` is at least 10, otherwise None.
    ratio : float or None
        Median over the median of what it is compared with.
    """

    name: str
    unit: str
    n: int
    median: float
    p90: float | None
    p95: float | None
    low: float
    high: float
    ratio: float | None

    @classmethod
    def of(
        cls,
        name: str,
        unit: str,
        values: Sequence[float],
        compared_with: float | None = None,
    ) -> Figure:
        """Summarise measurements; raises ValueError when there are none."""
        if not values:
            raise ValueError(f"nothing was measured for {name!r}")
        ordered = sorted(values)
        median = statistics.median(ordered)
        percentiles = (
            statistics.quantiles(ordered, n=100, method="inclusive") if len(ordered) >= 10 else None
        )
        return cls(
            name=name,
            unit=unit,
            n=len(ordered),
            median=median,
            p90=percentiles[89] if percentiles else None,
            p95=percentiles[94] if percentiles else None,
            low=ordered[0],
            high=ordered[-1],
            ratio=median / compared_with if compared_with else None,
        )


def report(
    name: str,
    figures: Sequence[Figure],
    settings: Mapping[str, Any],
    json_file: Path | None,
    rows: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Print the table; with ``json_file`` also write figures, settings, machine and rows."""
    table = Table("figure", "n", "median", "p90", "p95", "min to max", "ratio", title=name)
    for figure in figures:
        table.add_row(
            figure.name,
            str(figure.n),
            f"{figure.median:.4g} {figure.unit}",
            _short(figure.p90),
            _short(figure.p95),
            f"{figure.low:.3g} to {figure.high:.3g}",
            "" if figure.ratio is None else f"{figure.ratio:.3g} x",
        )
    Console().print(table)
    if json_file:
        document = {
            "bench": name,
            "recorded_at": iso(SystemClock().now()),
            "commit": commit(),
            "machine": machine(),
            "settings": dict(settings),
            "figures": [asdict(figure) for figure in figures],
            "rows": list(rows),
        }
        json_file.write_text(json.dumps(document, indent=1, default=str) + "\n")


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    devices = device_status()["devices"]
    return {
        "cpu": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "ram_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "gpus": [device.get("name") for device in devices],
        "load": os.getloadavg(),
        "python": platform.python_version(),
        "versions": {package: importlib.metadata.version(package) for package in VERSIONS},
    }


def commit() -> str | None:
    """The commit that was measured, with ``+`` when the tree had changes."""
    try:
        head = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        dirty = subprocess.run(
            ["git", "status", "--porcelain"], capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{head}+" if dirty else head


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
