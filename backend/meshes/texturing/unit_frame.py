"""The frame in which an object is looked at: centred, and within a ball of fixed size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SPREAD = 1.15


@dataclass(frozen=True)
class UnitFrame:
    """A shift and a scale.

    Parameters
    ----------
    centre : (3,) float64
        Of the bounding box, in units of the mesh.
    scale : float
        Units of the frame per unit of the mesh.
    spread : float
        Diameter of the ball round the centre that holds the object, in units of the frame.

    Source
    ------
    Hunyuan3D 2.0 (Tencent 2025): its networks were trained with ``spread`` 1.15.
    """

    centre: NDArray[np.float64]
    scale: float
    spread: float

    @classmethod
    def of(cls, vertices: NDArray[np.floating], spread: float = SPREAD) -> UnitFrame:
        """Fit the frame to an object; a single point keeps its scale.

        Parameters
        ----------
        vertices : (n, 3) float
            At least one.
        spread : float
        """
        places = np.asarray(vertices, dtype=np.float64)
        centre = (places.min(axis=0) + places.max(axis=0)) / 2
        radius = float(np.sqrt(np.square(places - centre).sum(axis=1).max()))
        return cls(centre, spread / (2 * radius) if radius > 0 else 1.0, spread)

    def to_unit(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return points of the mesh in the frame, (n, 3) float64."""
        return (np.asarray(points, dtype=np.float64) - self.centre) * self.scale

    def to_mesh(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return points of the frame in units of the mesh, (n, 3) float64."""
        return np.asarray(points, dtype=np.float64) / self.scale + self.centre
