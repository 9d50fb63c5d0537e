"""What of a run's results auto-tune compares: exact counts, files, and numbers that may round."""

from __future__ import annotations

import hashlib

from backend.pipelines.pipeline import PipelineOutcome
from backend.tuning.run_figures import Gauge

# Files that hold no compressed stream of ours: they must come out byte by byte.
SAME_FILES = ("model.glb", "model.stl", "model.ply")
SAME_COUNTS = ("vertices", "faces", "bodies")
# Simplification is free to stop a face earlier or later. Half a percent of the longest side is
# half a cell of the coarsest grid.
COUNT_TOLERANCE, SIZE_TOLERANCE = 0.01, 0.005
ROUNDED_COUNTS = ("vertices", "faces")
SIDES = ("extent_x_m", "extent_y_m", "extent_z_m")


def counts_of(outcome: PipelineOutcome) -> dict[str, str]:
    """Return the counts of the mesh."""
    mesh = outcome.facts.get("mesh") or {}
    return {name: str(mesh[name]) for name in SAME_COUNTS if name in mesh}


def digests_of(outcome: PipelineOutcome) -> dict[str, str]:
    """Return the digests of the files that settings must not change."""
    return {
        file.name: hashlib.sha256(file.path.read_bytes()).hexdigest()
        for file in outcome.outputs
        if file.name in SAME_FILES
    }


def gauges_of(outcome: PipelineOutcome) -> dict[str, Gauge]:
    """Return the numbers of the mesh, and how far rounding may move each.

    Counts may move by a hundredth, volume by half a percent, each side by half a percent of the
    longest one.
    """
    mesh = outcome.facts.get("mesh") or {}
    gauges = {
        name: Gauge(float(mesh[name]), COUNT_TOLERANCE * mesh[name])
        for name in ROUNDED_COUNTS
        if name in mesh
    }
    if "volume_m3" in mesh:
        gauges["volume_m3"] = Gauge(mesh["volume_m3"], SIZE_TOLERANCE * mesh["volume_m3"])
    sides_m = mesh.get("extents_m") or []
    for name, side_m in zip(SIDES, sides_m, strict=False):
        gauges[name] = Gauge(side_m, SIZE_TOLERANCE * max(sides_m))
    return gauges
