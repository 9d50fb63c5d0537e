"""Front and back of a mesh side by side in a texture, as they look from there."""

from __future__ import annotations

import numpy as np

from backend.meshes.texturing.surface_layout import SurfaceLayout
from backend.meshes.triangle_mesh import TriangleMesh

MARGIN = 0.01
"""Of the texture, round each half."""


def two_sided_layout(mesh: TriangleMesh) -> SurfaceLayout:
    """Lay the faces on either side of z = 0 flat by leaving their depth out.

    For bodies blown up from an outline, of which a line of sight meets each side once: pixels of
    the picture become texels without stretch. Walls along the line of sight get no texels but
    those of their edge.

    Parameters
    ----------
    mesh : TriangleMesh
        With its front towards +Z and z = 0 in its middle.

    Returns
    -------
    SurfaceLayout
        Halves beside each other for tall bodies and above each other for wide ones.
    """
    flat = mesh.vertices[:, :2].astype(np.float64)
    low = flat.min(axis=0)
    width, height = np.maximum(flat.max(axis=0) - low, 1e-12)
    is_stacked = width > height
    halves = np.array([1.0, 2.0]) if is_stacked else np.array([2.0, 1.0])
    room = 1 / halves - 2 * MARGIN
    scale = float(min(room / (width, height)))
    offset = (1 / halves - scale * np.array([width, height])) / 2
    place = (flat - low) * scale + offset
    shift = np.array([0.0, 0.5]) if is_stacked else np.array([0.5, 0.0])
    front, back = (place + shift, place) if is_stacked else (place, place + shift)
    is_front = mesh.vertices[mesh.faces][..., 2].mean(axis=1) >= 0
    count = len(mesh.vertices)
    corners = mesh.faces.astype(np.int64) + np.where(is_front, 0, count)[:, None]
    used, faces = np.unique(corners, return_inverse=True)
    uv = np.concatenate([front, back])[used]
    return SurfaceLayout(used % count, uv.astype(np.float32), faces.reshape(-1, 3).astype(np.int32))
