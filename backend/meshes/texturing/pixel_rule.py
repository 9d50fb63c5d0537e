"""Where the pixels of a picture lie on the screen, which reaches from -1 to 1 both ways."""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray


class PixelRule(StrEnum):
    """What the centre of a pixel is.

    ``CENTRED`` is glTF's rule and ours: pixel i covers [i, i + 1) / size, so its centre is at
    (i + 0.5) / size. ``CORNER_ALIGNED`` puts the centres of the outermost pixels on the edges of
    the screen; networks were trained with maps made like that.
    """

    CENTRED = "centred"
    CORNER_ALIGNED = "corner_aligned"

    def centres(self, count: int) -> NDArray[np.float64]:
        """Return where the pixels of a line lie on the screen, (count,) float64."""
        pixels = np.arange(count, dtype=np.float64)
        if self is PixelRule.CENTRED:
            return (pixels * 2 + 1) / count - 1
        return pixels * 2 / max(count - 1, 1) - 1

    def pixels(self, places: NDArray[np.floating], count: int) -> NDArray[np.float64]:
        """Return which pixels places on the screen fall on; whole numbers are centres.

        Parameters
        ----------
        places : (...) float
            From -1 to 1.
        count : int
            Pixels of the line.
        """
        shares = (np.asarray(places, dtype=np.float64) + 1) / 2
        if self is PixelRule.CENTRED:
            return shares * count - 0.5
        return shares * (count - 1)
