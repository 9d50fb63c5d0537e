"""How a surface is divided into parts: the tree of an engine, and the number that was chosen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.batch_processor import run_engine
from backend.catalog import DivisionParams, Preset
from backend.engines.engine import Role
from backend.engines.part_tasks import FoundParts, SegmentationTask, SegmentationWishes
from backend.engines.registry import EngineRegistry
from backend.meshes.parts.part_tree import PartTree
from backend.meshes.source_mesh import SourceMesh
from backend.progress import StageProgress

GIVEN = "given"
"""Stands for an engine where part numbers were sent along."""


@dataclass(frozen=True)
class Division:
    """A surface and its parts.

    Parameters
    ----------
    count : int
        Number of parts.
    engine : str
        What found them.
    facts : dict
        JSON-ready: how it found them.
    """

    mesh: SourceMesh
    tree: PartTree
    count: int
    engine: str
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def face_parts(self) -> NDArray[np.int32]:
        """The part of each face, (m,) int32."""
        return self.tree.face_parts(self.count)


def find_parts(
    mesh: SourceMesh,
    params: DivisionParams,
    preset: Preset,
    engine_name: str,
    seed: int,
    registry: EngineRegistry,
    progress: StageProgress,
) -> Division:
    """Ask the engine for the parts of a surface; raises EngineUnavailable, JobCanceled."""
    engine = registry.choose(Role.SEGMENTATION, str(engine_name))
    progress.engine_chosen(Role.SEGMENTATION, engine.name)
    task = SegmentationTask(mesh, seed, wishes_of(params, preset))
    found: FoundParts = run_engine(engine, task, progress)
    if found.notice:
        progress.warn(found.notice)
    count = _chosen_count(found.tree, params, progress)
    return Division(mesh, found.tree, count, engine.name, found.facts)


def wishes_of(params: DivisionParams, preset: Preset) -> SegmentationWishes:
    """Take from parameters what engines with networks are asked."""
    return SegmentationWishes(
        preset, params.points, params.prompts, params.threshold, params.post_process
    )


def divided_as(
    mesh: SourceMesh, face_parts: NDArray[np.int32], count: int | None = None
) -> Division:
    """Take parts as they were given: nothing merges.

    Parameters
    ----------
    face_parts : (m,) int32
        Numbers from 0.
    count : int, optional
        Number of parts, where the last ones may have no faces.
    """
    count = int(face_parts.max()) + 1 if count is None else count
    no_merges = np.zeros((0, 2), dtype=np.int32)
    tree = PartTree(face_parts, count, no_merges, np.zeros(0, dtype=np.float32), count)
    return Division(mesh, tree, count, GIVEN)


def count_for(tree: PartTree, granularity: float) -> int:
    """Return the number of parts for a granularity.

    The first merge that the engine did not do for its own suggestion says what it held for too
    costly. Below 1, the dearest merges next to that border are undone while they cost more than
    this share of it; above 1, more are done while they cost no more than this multiple.

    Parameters
    ----------
    granularity : float
        1 gives the engine's suggestion.

    Examples
    --------
    >>> tree = PartTree(np.zeros(1, np.int32), 5, np.array([[0, 1], [2, 3], [4, 5], [6, 7]]),
    ...                 np.array([0.1, 0.6, 0.8, 1.4]), suggested=3)
    >>> [count_for(tree, granularity) for granularity in (0.5, 1, 1.2, 2)]
    [4, 3, 2, 1]
    """
    costs = tree.costs
    done = border = tree.patch_count - tree.suggested
    if not len(costs):
        return tree.suggested
    limit = granularity * float(costs[min(border, len(costs) - 1)])
    while granularity < 1 and done > 0 and costs[done - 1] > limit:
        done -= 1
    while granularity > 1 and done < len(costs) and costs[done] <= limit:
        done += 1
    return tree.patch_count - done


def division_facts(division: Division) -> dict[str, Any]:
    """JSON-ready figures of a division."""
    return {
        "count": division.count,
        "suggested": division.tree.suggested,
        "fewest": division.tree.fewest,
        "most": division.tree.patch_count,
        "engine": division.engine,
        **division.facts,
    }


def _chosen_count(tree: PartTree, params: DivisionParams, progress: StageProgress) -> int:
    if params.part_count is None:
        return count_for(tree, params.granularity)
    count = min(max(params.part_count, tree.fewest), tree.patch_count)
    if count > params.part_count:
        progress.warn(
            f"{count} parts were made, not {params.part_count}: fewer would join pieces that do "
            "not touch."
        )
    elif count < params.part_count:
        progress.warn(
            f"{count} parts were made, not {params.part_count}: no finer ones were found."
        )
    return count
