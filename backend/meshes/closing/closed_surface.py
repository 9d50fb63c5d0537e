"""A surface with the faces that close it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from backend.meshes.closing.body_nesting import bodies_to_turn, body_boxes
from backend.meshes.closing.half_edges import Indices, Points
from backend.meshes.closing.joined_surface import JoinedSurface
from backend.meshes.closing.solidity import face_volumes

NO_LOOK = -1


@dataclass(frozen=True)
class ClosedSurface:
    """The faces of a surface and those added to close it.

    Parameters
    ----------
    surface : JoinedSurface
        Its points and faces come first and are as they were.
    added_points : (p, 3) float64
    added_faces : (f, 3) int64
        Corners: points of the surface, then added ones.
    looks : (f,) int64
        The face of the surface that an added face looks like (its corners run the other way);
        NO_LOOK for caps.
    bodies : (k + f,) int64
        The closed body of each face.
    turned_bodies : (b,) bool
        Bodies whose faces are turned over.
    """

    surface: JoinedSurface
    added_points: Points
    added_faces: Indices
    looks: Indices
    bodies: Indices
    turned_bodies: NDArray[np.bool_]

    @classmethod
    def bare(cls, surface: JoinedSurface) -> ClosedSurface:
        """Take a surface that needs no more faces."""
        bodies = surface.face_bodies
        nothing = np.zeros((0, 3))
        return cls(
            surface,
            nothing,
            nothing.astype(np.int64),
            np.zeros(0, dtype=np.int64),
            bodies,
            np.zeros(int(bodies.max()) + 1, dtype=bool),
        )

    @property
    def points(self) -> Points:
        """All points, (t + p, 3) float64."""
        return np.concatenate([self.surface.points, self.added_points])

    @property
    def faces(self) -> Indices:
        """All faces, (k + f, 3) int64, turned over where their body is."""
        faces = np.concatenate([self.surface.faces, self.added_faces])
        over = self.turned_bodies[self.bodies]
        faces[over] = faces[over][:, [0, 2, 1]]
        return faces

    def volume(self) -> float:
        """Cubic units inside."""
        return float(face_volumes(self.points, self.faces).sum())

    def turned_outwards(self) -> ClosedSurface:
        """Turn over what is inside out; hollows in a larger body stay as they are."""
        points, faces, count = self.points, self.faces, len(self.turned_bodies)
        volumes = np.bincount(self.bodies, face_volumes(points, faces), count).astype(float)
        boxes = body_boxes(points, faces, self.bodies, count)
        return replace(self, turned_bodies=self.turned_bodies ^ bodies_to_turn(volumes, boxes))

    def turned_faces(self) -> NDArray[np.bool_]:
        """Whether each face of the surface looks the other way than in the mesh, (k,) bool."""
        own = self.bodies[: len(self.surface.faces)]
        return np.asarray(self.surface.turned ^ self.turned_bodies[own])
