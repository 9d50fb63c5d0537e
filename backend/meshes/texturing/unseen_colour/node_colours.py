"""A colour for every node of a surface, seen or not, and where each came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.catalog import BackSide
from backend.meshes.texturing.unit_frame import UnitFrame
from backend.meshes.texturing.unseen_colour.crisp_fill import crisp_fill
from backend.meshes.texturing.unseen_colour.harmonic_fill import fill
from backend.meshes.texturing.unseen_colour.mirror_plane import MirrorPlane
from backend.meshes.texturing.unseen_colour.nearer_bodies import (
    behind_another_body,
    of_well_seen_bodies,
)
from backend.meshes.texturing.unseen_colour.picture_islands import find_regions
from backend.meshes.texturing.unseen_colour.picture_view import Facing, PictureView
from backend.meshes.texturing.unseen_colour.surface_graph import SurfaceGraph
from backend.meshes.texturing.unseen_colour.through_projection import shows_through, turned_away

SEEN_FROM = 0.5
MIRROR_SLACK = 0.012
MIRROR_SPACINGS = 1.5
BETTER_SEEN = Facing(0.1, 0.3)
"""A mirror image counts by how much more it faces a picture: at outlines both sides are alike."""
SMOOTH_ROUNDS = 3
SOFTENED_ROUNDS = 2
NODE_BLUR = 0.35
"""Blur of the picture over the distance of nodes: what lies between them counts too."""
NEVER_THROUGH = -1.0
"""So low that halfway to a node that shows the picture nothing of another body shows either."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Surroundings:
    """Where nodes lie among the pictures.

    Parameters
    ----------
    graph : SurfaceGraph
    frame : UnitFrame
        From the mesh to the graph's unit.
    views : sequence of PictureView
        The front comes first.
    plane : MirrorPlane or None
        In the graph's unit; None where none is believed.
    has_insides : bool
        Whether the back may hide surfaces from somebody behind it, as a cup does.
    """

    graph: SurfaceGraph
    frame: UnitFrame
    views: Sequence[PictureView]
    plane: MirrorPlane | None
    has_insides: bool = True

    def seen(self, points: Values, normals: Values) -> tuple[Values, Values]:
        """Say how well places are seen in any picture, and in which colour.

        Parameters
        ----------
        points, normals : (n, 3) float64
            In the graph's unit.

        Returns
        -------
        weight : (n,) float64
            0 to 1.
        colours : (n, 3) float64
            0 to 255; black where nothing is seen.
        """
        return self._shown(points, normals, 0.0, None)

    def reflected(self, points: Values, normals: Values) -> tuple[Values, Values]:
        """As ``seen``, of the places where the mirror plane puts these, if they face us more."""
        if self.plane is None:
            return np.zeros(len(points)), np.zeros((len(points), 3))
        slack = MIRROR_SLACK + MIRROR_SPACINGS * self.graph.spacing
        turned = self.plane.turned(normals)
        gain = self._facing(turned) - self._facing(normals)
        weight, colours = self._shown(self.plane.mirrored(points), turned, 0.0, slack)
        return weight * BETTER_SEEN.weight(gain), colours

    def _facing(self, normals: Values) -> Values:
        """Cosine of each normal with the picture that it faces most."""
        return np.asarray(np.max([normals @ view.towards for view in self.views], axis=0))

    def node_colours(self, points: Values, normals: Values) -> tuple[Values, Values]:
        """As ``seen``, in colours blurred to the distance of nodes."""
        return self._shown(points, normals, NODE_BLUR * self.graph.spacing, None)

    def _shown(
        self, points: Values, normals: Values, blur: float, slack: float | None
    ) -> tuple[Values, Values]:
        places = self.frame.to_mesh(points)
        total, most = np.zeros(len(points)), np.zeros(len(points))
        colours = np.zeros((len(points), 3))
        for view in self.views:
            room = {} if slack is None else {"slack": slack}
            weight = view.seen(places, normals, **room)
            most = np.maximum(most, weight)
            asked = np.flatnonzero(weight > 0)
            straight = np.maximum(normals[asked] @ view.towards, 0.05) ** 4
            share = weight[asked] * straight
            shown = view.colours_at(places[asked], blur / max(view.px_size, 1e-12))
            colours[asked] += share[:, None] * shown
            total[asked] += share
        return most, colours / np.where(total > 0, total, 1.0)[:, None]


@dataclass(frozen=True)
class NodeColours:
    """Colours of nodes and their origins.

    Parameters
    ----------
    colours : (n, 3) float64
        0 to 255.
    through : (n,) float64
        How far each takes the colour of the picture before it, 0 to 1; below 0 where the picture
        shows another body.
    seen, reflected, filled : (n,) bool
        Where the others come from.
    islands : (h, w) float32 or None
        Which pixels of the front picture never show through; None: all may.
    """

    colours: Values
    through: Values
    seen: NDArray[np.bool_]
    reflected: NDArray[np.bool_]
    filled: NDArray[np.bool_]
    islands: NDArray[np.float32] | None


def colour_nodes(around: Surroundings, back_side: BackSide) -> NodeColours | None:
    """Colour every node: pictures, their mirror images, through-projection and what spreads.

    Returns
    -------
    NodeColours or None
        None where no picture shows any of it.
    """
    graph = around.graph
    weight, colours = around.node_colours(graph.points, graph.normals)
    seen = weight > SEEN_FROM
    if not seen.any():
        return None
    known, reflected = seen.copy(), np.zeros_like(seen)
    if back_side is BackSide.AUTO:
        mirror_weight, mirrored = around.reflected(graph.points, graph.normals)
        reflected = ~seen & (mirror_weight > SEEN_FROM)
        colours[reflected] = mirrored[reflected]
        known |= reflected
    front = around.views[0]
    places = around.frame.to_mesh(graph.points)
    through, behind, islands = np.zeros_like(seen), np.zeros_like(seen), None
    if back_side is BackSide.MIRROR:
        through = ~known & turned_away(front, graph.normals)
    if back_side is BackSide.AUTO:
        regions = find_regions(front.colours, front.core, front.whole_regions())
        islands = regions.islands
        asked, beyond = ~known, np.zeros_like(seen)
        if around.has_insides:
            asked &= (weight > 0) | front.outermost_behind(places)
            beyond = behind_another_body(front, graph, places, asked, seen)
            behind = beyond & of_well_seen_bodies(graph, seen)
            asked &= ~behind
        diffused = fill(graph, colours, known)
        through = shows_through(front, regions, graph, places, asked, beyond, diffused)
    blur_px = NODE_BLUR * graph.spacing / front.px_size
    colours[through] = front.colours_at(places[through], blur_px, islands)
    known |= through
    softened = graph.smoothed(through.astype(np.float64), SOFTENED_ROUNDS)
    softened[behind] = NEVER_THROUGH
    filled = _filled(graph, colours, known)
    return NodeColours(filled, softened, seen, reflected, ~known, islands)


def _filled(graph: SurfaceGraph, colours: Values, known: NDArray[np.bool_]) -> Values:
    """Fill what is not known and smooth it there."""
    filled = crisp_fill(graph, colours, known)
    smooth = graph.smoothed(filled, SMOOTH_ROUNDS)
    return np.where(known[:, None], filled, smooth)
