"""Cameras that look at an object in its unit frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class ParallelCamera(Protocol):
    """A camera whose lines of sight are parallel."""

    @property
    def towards(self) -> NDArray[np.float64]:
        """Unit vector from the object to the camera, (3,)."""

    @property
    def half_width(self) -> float:
        """Half of what the picture shows across, in units of the frame."""

    def screen(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Project points, (n, 3) to (n, 3): x right and y down from -1 to 1, and depth."""


@dataclass(frozen=True)
class OrthographicCamera:
    """A camera that turns about the object; it looks at the front (+z) at azimuth 0.

    Parameters
    ----------
    azimuth_deg : float
        90 looks from +x.
    elevation_deg : float
        90 looks from above.
    half_width : float
        Half of what the picture shows across and along, in units of the frame.
    distance : float
        From the centre, in units of the frame.
    """

    azimuth_deg: float
    elevation_deg: float = 0.0
    half_width: float = 0.6
    distance: float = 1.45

    @property
    def towards(self) -> NDArray[np.float64]:
        """Unit vector from the object to the camera, (3,)."""
        azimuth, elevation = np.radians([self.azimuth_deg, self.elevation_deg])
        level = np.cos(elevation)
        return np.array([np.sin(azimuth) * level, np.sin(elevation), np.cos(azimuth) * level])

    @property
    def right(self) -> NDArray[np.float64]:
        """Unit vector to the right of the picture, (3,)."""
        azimuth = np.radians(self.azimuth_deg)
        return np.array([np.cos(azimuth), 0.0, -np.sin(azimuth)])

    @property
    def up(self) -> NDArray[np.float64]:
        """Unit vector to the top of the picture, (3,)."""
        azimuth, elevation = np.radians([self.azimuth_deg, self.elevation_deg])
        sine = np.sin(elevation)
        return np.array([-np.sin(azimuth) * sine, np.cos(elevation), -np.cos(azimuth) * sine])

    def screen(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Project points of the unit frame.

        Returns
        -------
        (n, 3) float64
            x to the right and y down, from -1 to 1 inside the picture, and depth in units of the
            frame, smaller being nearer.
        """
        axes = [self.right / self.half_width, -self.up / self.half_width, -self.towards]
        screen: NDArray[np.float64] = np.asarray(points, dtype=np.float64) @ np.stack(axes, axis=1)
        screen[:, 2] += self.distance
        return screen


@dataclass(frozen=True)
class WeightedView:
    """A camera, and how much its picture counts where several see the same place."""

    camera: ParallelCamera
    weight: float


STANDARD_VIEWS = (
    WeightedView(OrthographicCamera(0, 0), 1.0),
    WeightedView(OrthographicCamera(90, 0), 0.1),
    WeightedView(OrthographicCamera(180, 0), 0.5),
    WeightedView(OrthographicCamera(270, 0), 0.1),
    WeightedView(OrthographicCamera(0, 90), 0.05),
    WeightedView(OrthographicCamera(180, -90), 0.05),
)
