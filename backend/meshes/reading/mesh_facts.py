"""What people are told of a mesh that was read."""

from __future__ import annotations

from typing import Any

import numpy as np

from backend.meshes.reading.read_mesh import JudgedMesh


def mesh_facts(judged: JudgedMesh) -> dict[str, Any]:
    """Describe a mesh.

    Returns
    -------
    dict
        ``format``, ``vertices``, ``faces``, ``components``, ``materials``, ``textures``,
        ``has_uvs``, ``has_colors``; in the units of the mesh ``extents`` (along x, y, z) and
        ``bounds`` (lowest and highest corner).
    """
    mesh = judged.mesh
    return {
        "format": judged.format.value,
        "vertices": len(mesh.vertices),
        "faces": len(mesh.faces),
        "components": judged.components,
        "materials": len(mesh.materials),
        "textures": sum(material.texture is not None for material in mesh.materials),
        "has_uvs": mesh.uvs is not None,
        "has_colors": mesh.colors is not None,
        "extents": [float(f"{side:.6g}") for side in np.ptp(mesh.vertices, axis=0)],
        "bounds": [mesh.vertices.min(axis=0).tolist(), mesh.vertices.max(axis=0).tolist()],
    }
