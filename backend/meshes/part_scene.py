"""GLB files of parts: each part a node and materials of its own, together, apart or alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.meshes.glb_builder import LINES, AnyArray, GlbBuilder, Primitive
from backend.meshes.part_colors import linear_of, part_color
from backend.meshes.part_split import ShadedMesh, split_at_borders
from backend.meshes.reading.vertex_colors import to_linear
from backend.meshes.source_mesh import Material, SourceMesh

CAP = "cap"
# Corners of a box by bits (x, y, z), and its twelve edges.
_BITS = np.array([[corner >> axis & 1 for axis in range(3)] for corner in range(8)])
_EDGES = np.array([(a, a | bit) for bit in (1, 2, 4) for a in range(8) if not a & bit])


@dataclass(frozen=True)
class ScenePart:
    """A part to be written.

    Parameters
    ----------
    index : int
        Its number.
    shape : ShadedMesh
        Has at least one face.
    extras : mapping
        JSON-ready; kept with the node.
    """

    index: int
    shape: ShadedMesh
    extras: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of node, material and files."""
        return part_name(self.index)


def part_name(index: int) -> str:
    """Name a part by its number.

    >>> part_name(7)
    'part_07'
    """
    return f"part_{index:02}"


class PartScene:
    """Parts in one scene; written as they stand, then with offsets if wanted.

    Parameters
    ----------
    parts : sequence of ScenePart
        Become nodes ``part_00`` and so on. A mesh without any look of its own gets the colours
        of the parts.
    """

    def __init__(self, parts: Sequence[ScenePart]) -> None:
        self._builder = GlbBuilder()
        for part in parts:
            extras = {"part": part.index, "color": part_color(part.index), **part.extras}
            self._builder.node(part.name, _primitives(self._builder, part), extras)

    def write(self, path: Path) -> None:
        """Write the parts where they are."""
        self._builder.write(path)

    def write_moved(self, offsets: NDArray[np.floating], path: Path) -> None:
        """Write each node moved; the offset is in its extras too.

        Parameters
        ----------
        offsets : (p, 3) float
            One per part of the scene.
        """
        standing = self._builder.nodes
        moved = [
            node | {"translation": offset, "extras": node["extras"] | {"offset": offset}}
            for node, offset in zip(standing, _rounded(offsets), strict=True)
        ]
        self._builder.nodes = moved
        try:
            self._builder.write(path)
        finally:
            self._builder.nodes = standing


def write_surface(shaded: ShadedMesh, patches: NDArray[np.integer], path: Path) -> None:
    """Write the whole mesh as one node ``surface`` with the patch of each vertex as ``_PATCH``.

    Parameters
    ----------
    patches : (m,) int
        The patch of each face; vertices on borders are doubled.
    """
    whole, vertex_patches = split_at_borders(shaded, patches)
    attributes = _attributes(whole) | {"_PATCH": vertex_patches.astype(np.float32)}
    builder = GlbBuilder()
    primitives = [
        Primitive(attributes, faces, builder.material(look, look.name))
        for look, faces in _by_material(whole.mesh)
    ]
    builder.node("surface", primitives)
    builder.write(path)


def write_boxes(boxes: NDArray[np.floating], path: Path) -> None:
    """Write the boxes of parts as lines, a node each.

    Parameters
    ----------
    boxes : (p, 2, 3) float
        Lowest and highest corners.
    """
    builder = GlbBuilder()
    for index, box in enumerate(boxes):
        corners = np.where(_BITS == 1, box[1], box[0]).astype(np.float32)
        look = builder.material(_painted(Material(), index), part_name(index))
        lines = Primitive({"POSITION": corners}, _EDGES, look, LINES)
        builder.node(part_name(index), [lines], {"part": index})
    builder.write(path)


def has_no_look(mesh: SourceMesh) -> bool:
    """Whether a mesh has neither a texture nor colours."""
    white = all(m.base_color == (1.0, 1.0, 1.0, 1.0) for m in mesh.materials if m.name != CAP)
    return white and mesh.colors is None and not any(m.texture for m in mesh.materials)


def _primitives(builder: GlbBuilder, part: ScenePart) -> list[Primitive]:
    mesh = part.shape.mesh
    attributes = _attributes(part.shape)
    paint = has_no_look(mesh)
    made = []
    for number, (look, faces) in enumerate(_by_material(mesh)):
        is_cap = look.name == CAP
        painted = _painted(look, part.index) if paint and not is_cap else look
        suffix = f"_{CAP}" if is_cap else f"_{number}" if number else ""
        material = builder.material(painted, part.name + suffix)
        made.append(Primitive(attributes, faces, material))
    return made


def _attributes(shaded: ShadedMesh) -> dict[str, AnyArray]:
    mesh = shaded.mesh
    made: dict[str, AnyArray] = {"POSITION": mesh.vertices, "NORMAL": shaded.normals}
    if mesh.uvs is not None:
        made["TEXCOORD_0"] = mesh.uvs
    if mesh.colors is not None:
        made["COLOR_0"] = to_linear(mesh.colors)
    return made


def _by_material(mesh: SourceMesh) -> list[tuple[Material, NDArray[np.int32]]]:
    used = np.unique(mesh.face_materials)
    return [(mesh.materials[kind], mesh.faces[mesh.face_materials == kind]) for kind in used]


def _painted(look: Material, part: int) -> Material:
    return replace(look, base_color=(*linear_of(part_color(part)), 1.0))


def _rounded(offsets: NDArray[np.floating]) -> list[list[float]]:
    return [[float(f"{value:.6g}") for value in offset] for offset in offsets.tolist()]
