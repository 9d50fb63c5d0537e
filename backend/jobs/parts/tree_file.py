"""Reads ``part_tree.json``: the division that an engine made, and what is known of each patch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from backend.errors import FilesExpired
from backend.jobs.parts.division import Division, color_numbers, read_division

UNKNOWN_COLOR = "#8a94a6"


@dataclass(frozen=True)
class PatchFigures:
    """What adds up from patches to parts.

    Parameters
    ----------
    faces : sequence of int
    areas : sequence of float
        In square metres.
    boxes : sequence of six floats
        Lower and upper corner, metres.
    """

    faces: Sequence[int]
    areas: Sequence[float]
    boxes: Sequence[Sequence[float]]


@dataclass(frozen=True)
class TreeFile:
    """A part tree as its pipeline wrote it.

    Parameters
    ----------
    division : Division
        Into the number of parts that the job delivered.
    palette : sequence of str
        Colours by number, ``#rrggbb``.
    figures : PatchFigures or None
        None if the file does not tell.
    made_parts : sequence of dict
        The parts of ``division``, as the pipeline described them.
    """

    division: Division
    palette: Sequence[str]
    figures: PatchFigures | None
    made_parts: Sequence[dict[str, Any]]

    @cached_property
    def patch_colors(self) -> list[str]:
        """The colour that a part has when a patch is its first."""
        colors = self.palette or [UNKNOWN_COLOR]
        return [colors[number % len(colors)] for number in color_numbers(self.division)]

    def made_part(self, patches: Sequence[int]) -> dict[str, Any] | None:
        """Return the pipeline's own part of exactly these patches, None if it made none such."""
        index = self._made.get(tuple(patches))
        return None if index is None else self.made_parts[index]

    @cached_property
    def _made(self) -> dict[tuple[int, ...], int]:
        if len(self.made_parts) != self.division.count:
            return {}
        return {tuple(patches): index for index, patches in enumerate(self.division.parts)}


def read_tree_file(path: Path) -> TreeFile:
    """Read the file; raises FilesExpired if it has been removed."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FilesExpired from error
    patches = document.get("patches")
    division = read_division(
        document | {"suggested": document.get("count") or document["suggested"]}
    )
    return TreeFile(
        division,
        document.get("palette") or (),
        patches and PatchFigures(patches["faces"], patches["areas"], patches["boxes"]),
        document.get("parts") or (),
    )
