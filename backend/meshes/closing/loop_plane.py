"""The plane that fits a loop best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.meshes.closing.half_edges import Points

MIN_AREA_SHARE = 1e-6  # of the squared radius; below that a loop has no inside


@dataclass(frozen=True)
class LoopPlane:
    """A plane in which the loop runs counter-clockwise.

    Parameters
    ----------
    centre : (3,) float64
        Mean of the loop's points.
    axes : (3, 3) float64
        Rows: right, up and normal, of unit length.
    radius : float
        Largest distance of a point from the centre.
    """

    centre: Points
    axes: Points
    radius: float

    @classmethod
    def of(cls, loop: Points) -> LoopPlane | None:
        """Fit to a loop, (k, 3) float64; None when it encloses next to nothing.

        Source
        ------
        The normal is the loop's vector area (Newell's method).
        """
        centre = loop.mean(axis=0)
        arms = loop - centre
        radius = float(np.linalg.norm(arms, axis=1).max())
        products = arms.T @ np.concatenate([arms[1:], arms[:1]]) / 2
        normal = np.array([products[i, j] - products[j, i] for i, j in ((1, 2), (2, 0), (0, 1))])
        area = float(np.linalg.norm(normal))
        if not area > MIN_AREA_SHARE * radius**2:
            return None
        normal = normal / area
        return cls(centre, _axes(normal), radius)

    @property
    def normal(self) -> Points:
        """Unit normal, (3,) float64."""
        return np.asarray(self.axes[2])

    def flat(self, points: Points) -> Points:
        """Project, (k, 3) to (k, 2) float64."""
        return np.asarray((points - self.centre) @ self.axes[:2].T)

    def heights(self, points: Points) -> Points:
        """Signed distance of points from the plane, (k,) float64."""
        return np.asarray((points - self.centre) @ self.axes[2])

    def lifted(self, flat: Points, heights: Points) -> Points:
        """Undo ``flat``, (k, 2) and (k,) to (k, 3) float64."""
        return np.asarray(self.centre + flat @ self.axes[:2] + heights[:, None] * self.axes[2])


def _axes(normal: Points) -> Points:
    """Choose two axes at right angles to a unit vector; rows right, up, normal."""
    x, y, z = normal.tolist()
    if abs(z) > 0.7:
        right = np.array([z, 0.0, -x]) / (x * x + z * z) ** 0.5
    else:
        right = np.array([-y, x, 0.0]) / (x * x + y * y) ** 0.5
    a, b, c = right.tolist()
    up = np.array([y * c - z * b, z * a - x * c, x * b - y * a])
    return np.stack([right, up, normal])
