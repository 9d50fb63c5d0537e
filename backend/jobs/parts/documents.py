"""The JSON of the parts of a job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from backend.jobs.parts.division import Division
from backend.jobs.parts.edits import EditLog
from backend.jobs.parts.tree_file import PatchFigures, TreeFile


def parts_document(
    tree: TreeFile,
    division: Division,
    version: int,
    log: EditLog,
    files: Mapping[str, Sequence[dict[str, Any]]],
) -> dict[str, Any]:
    """Write one version of the parts, as in the HTTP contract.

    Parameters
    ----------
    tree : TreeFile
        What the pipeline wrote.
    division : Division
        The version, replayed from ``log``.
    files : mapping
        The job's files of single parts, by the name that the pipeline gave the part.
    """
    return {
        "version": version,
        "parts": [part_document(tree, division, index, files) for index in range(division.count)],
        "granularity": {
            "count": division.count,
            "min": division.fewest,
            "max": division.patch_count,
            "suggested": tree.division.count,
        },
        "edits": [dict(edit) for edit in log.edits],
        "done": log.done,
        "patch_parts": division.patch_parts,
        "patch_colors": tree.patch_colors,
    }


def part_document(
    tree: TreeFile,
    division: Division,
    index: int,
    files: Mapping[str, Sequence[dict[str, Any]]],
) -> dict[str, Any]:
    """Write one part; from volume on it is known of the parts that the pipeline made only."""
    patches = division.parts[index]
    made = tree.made_part(patches) or {}
    measured = _measured(tree.figures, patches)
    return {
        "index": index,
        "name": division.part_names.get(index) or f"part_{index:02d}",
        "color": tree.patch_colors[patches[0]],
        **measured,
        "volume": made.get("volume"),
        "closed": made.get("closed"),
        "method": made.get("method"),
        "notice": made.get("notice"),
        "files": list(files.get(made.get("name", ""), ())),
    }


def _measured(figures: PatchFigures | None, patches: Sequence[int]) -> dict[str, Any]:
    if figures is None:
        return {"faces": None, "area": None, "box": None, "centre": None}
    boxes = [figures.boxes[patch] for patch in patches]
    low = [min(box[axis] for box in boxes) for axis in range(3)]
    high = [max(box[axis + 3] for box in boxes) for axis in range(3)]
    return {
        "faces": sum(figures.faces[patch] for patch in patches),
        "area": sum(figures.areas[patch] for patch in patches),
        "box": [low, high],
        "centre": [(a + b) / 2 for a, b in zip(low, high, strict=True)],
    }
