"""What the sides that no picture shows look like; see `bench.texture_projection`."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bench.painted_objects import made_objects, objects_of
from bench.texture_projection import BACK, METHODS, Measured, mean_of, measure

ERRORS = ("mae", "layout", "palette")


def unseen_sides(
    objects: int, meshes: Path | None, size_px: int, sheet: Path | None
) -> list[dict[str, Any]]:
    """Texture objects from their front and compare what was not shown, in CIE Lab units.

    Parameters
    ----------
    objects : int
        How many of the objects made here.
    meshes : Path or None
        Folder of coloured GLB models to compare as well.
    size_px : int
        Side of the textures.
    sheet : Path or None
        Where to put pictures of all of them.
    """
    things = [*islice(made_objects(), objects), *(objects_of(meshes) if meshes else ())]
    found = [measure(thing, size_px) for thing in things]
    if sheet and found:
        Image.fromarray(np.concatenate([one.sheet for one in found])).save(sheet)
    return [row for one in found for row in _rows(one)]


def mean_rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the mean over all objects for each method."""
    names = [name for name in rows[0] if name.endswith("error")] if rows else []
    made: list[dict[str, Any]] = []
    for method in METHODS if rows else ():
        mean: dict[str, Any] = {"what": "unseen sides", "object": "mean", "by": method}
        for name in names:
            known = [row[name] for row in rows if row["by"] == method and row[name] is not None]
            mean[name] = float(np.mean(known)) if known else None
        made.append(mean)
    return made


def _rows(one: Measured) -> list[dict[str, Any]]:
    rows = []
    for method in METHODS:
        row: dict[str, Any] = {"what": "unseen sides", "object": one.name, "by": method}
        for name in ERRORS:
            row[f"{name}_error"] = mean_of(one.errors[method], name)
            row[f"back_{name}_error"] = mean_of([one.errors[method][BACK]], name)
        row["elapsed_s"] = one.elapsed_s if method == "projection" else None
        rows.append(row)
    return rows
