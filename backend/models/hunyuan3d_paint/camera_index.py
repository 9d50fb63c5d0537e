"""Numbers of cameras in the table that a network for colour has learned."""

from __future__ import annotations

REFERENCE_ROWS = 5
"""Rows at the beginning of the table that were meant for pictures of the reference."""

_AZIMUTH_STEP_DEG = 30
_AZIMUTHS = 12
_FRONT = 9
_FIRST_OF_ELEVATION_DEG = {-20: 0, 0: 12, 20: 24}
# Seen from below and from above the azimuth counts in steps of 90 degrees only.
_FIRST_OF_POLE_DEG = {-90: 36, 90: 40}
_STEPS_AT_POLES = 3


def camera_index(azimuth_deg: int, elevation_deg: int) -> int:
    """Return the number of a camera.

    Parameters
    ----------
    azimuth_deg : int
        0 looks at the front, 90 at what is to the right of a person who does.
    elevation_deg : int
        One of -90, -20, 0, 20, 90.

    Raises
    ------
    ValueError
        The table has no camera at this elevation.

    Examples
    --------
    >>> [camera_index(a, e) for a, e in ((0, 0), (90, 0), (180, 0), (270, 0), (0, 90), (180, -90))]
    [21, 12, 15, 18, 43, 37]
    """
    around = (azimuth_deg // _AZIMUTH_STEP_DEG + _FRONT) % _AZIMUTHS
    if elevation_deg in _FIRST_OF_ELEVATION_DEG:
        return around + _FIRST_OF_ELEVATION_DEG[elevation_deg]
    if elevation_deg in _FIRST_OF_POLE_DEG:
        return around // _STEPS_AT_POLES + _FIRST_OF_POLE_DEG[elevation_deg]
    raise ValueError(f"no camera at an elevation of {elevation_deg} degrees")
