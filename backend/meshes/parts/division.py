"""From a mesh to its parts: every step of the search, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from backend.catalog import MAX_PARTS
from backend.meshes.parts.analysis import Analysis, prepare_analysis
from backend.meshes.parts.bodies import Bodies, gather_bodies
from backend.meshes.parts.borders import straighten_all_borders
from backend.meshes.parts.face_colors import analysis_colors
from backend.meshes.parts.hollows import find_hollows
from backend.meshes.parts.islands import without_islands
from backend.meshes.parts.line_of_sight import draw_samples, line_of_sight, sheet_likeness
from backend.meshes.parts.merging import Merges, PatchFacts, merge_patches
from backend.meshes.parts.mirror import find_mirror, patch_images
from backend.meshes.parts.part_tree import PartTree
from backend.meshes.parts.patches import crossing_costs, grow_patches
from backend.meshes.parts.rays import RayScene
from backend.meshes.parts.shape_diameter import normalised, shape_diameter
from backend.meshes.parts.transfer import transferred
from backend.meshes.parts.welding import Welded, weld
from backend.meshes.source_mesh import SourceMesh

PATCHES = 160
COST_LIMIT = 1.05
STEPS = 8


def divide(mesh: SourceMesh, seed: int, report: Callable[[int], None]) -> PartTree:
    """Find the parts of a surface.

    Parameters
    ----------
    mesh : SourceMesh
        Any triangles: open, crossing or without area.
    seed : int
        Of the points between which lines of sight are drawn.
    report : callable
        Told how many of ``STEPS`` steps are done, before each; may raise to stop.

    Returns
    -------
    PartTree
        Over the faces of the mesh.
    """
    report(0)
    welded = weld(mesh.vertices, mesh.faces)
    if not len(welded.faces):
        return _undivided(len(mesh.faces))
    report(1)
    bodies = gather_bodies(welded)
    analysis = prepare_analysis(welded, bodies)
    colors = analysis_colors(mesh, welded, analysis)
    patches, merges = _merged(analysis, colors, seed, report)
    count = int(patches.max()) + 1
    suggested = merges.parts_below(COST_LIMIT, count)
    tree = PartTree(patches.astype(np.int32), count, merges.nodes, merges.costs, suggested)
    report(6)
    straight = straighten_all_borders(analysis.surface, tree)
    labels = analysis.welded_labels(straight, welded, bodies)
    labels = np.where(bodies.is_whole, count + bodies.of_faces - bodies.searched_count, labels)
    report(7)
    whole = _tidied(welded, labels, is_jagged=analysis.parents is None)
    return transferred(_with_bodies(tree, bodies), mesh, welded, whole)


def _merged(
    analysis: Analysis,
    colors: NDArray[np.float64] | None,
    seed: int,
    report: Callable[[int], None],
) -> tuple[NDArray[np.int64], Merges]:
    report(2)
    surface = analysis.surface
    scene = RayScene(surface)
    diameter = shape_diameter(surface, scene)
    thickness = normalised(diameter)
    report(3)
    mirror = find_mirror(analysis.centres, surface.normals, surface.areas, colors)
    patches = grow_patches(surface, crossing_costs(surface, thickness, colors), PATCHES, mirror)
    images = None if mirror is None else patch_images(patches, surface.areas, mirror)
    report(4)
    samples = draw_samples(surface, patches, np.random.default_rng(seed))
    sight = line_of_sight(surface, scene, samples)
    sheet = sheet_likeness(surface, diameter, patches)
    sight = sight + (1 - sight) * np.minimum.outer(sheet, sheet)
    hollows = find_hollows(surface, scene, patches, samples)
    if hollows.inner.any():
        sight = hollows.joined(sight, line_of_sight(surface, scene, samples, outside=True))
    report(5)
    facts = PatchFacts.of(surface, patches, thickness, sight, hollows, colors, images)
    return patches, merge_patches(facts)


def _with_bodies(tree: PartTree, bodies: Bodies) -> PartTree:
    """Add the bodies that are parts as they are; no more parts are suggested than may be."""
    whole = tree.with_bodies(bodies.count - bodies.searched_count)
    return replace(whole, suggested=max(min(whole.suggested, MAX_PARTS), whole.fewest))


def _tidied(welded: Welded, labels: NDArray[np.int64], *, is_jagged: bool) -> NDArray[np.int64]:
    """Remove islands from each body: what has one label on two bodies is no island."""
    count = int(welded.bodies.max()) + 1
    keys = labels * count + welded.bodies
    is_used = np.zeros(int(keys.max()) + 1, dtype=np.bool_)
    is_used[keys] = True
    numbers = np.cumsum(is_used) - 1
    tidy = without_islands(welded.faces, numbers[keys], is_jagged=is_jagged)
    return np.asarray(np.flatnonzero(is_used)[tidy] // count)


def _undivided(faces: int) -> PartTree:
    merges = np.zeros((0, 2), dtype=np.int32)
    return PartTree(np.zeros(faces, dtype=np.int32), 1, merges, np.zeros(0, dtype=np.float32), 1)
