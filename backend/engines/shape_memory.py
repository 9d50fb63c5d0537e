"""What the networks of a shape need on the device beside their weights; bounds, not measurements.

The residency manager promises so much to a lease, so that other models leave in time. What a job
really took is measured, see ``backend.gpu.batch_history``.
"""

from __future__ import annotations

from dataclasses import dataclass

# Tensors of one layer that live at once, in widths of the network: q, k, v, the layer within with
# its activation, and what attention and the casts of its norms make of them.
WIDTHS_PER_TOKEN = 40
WIDTHS_PER_POINT = 16
# Values, which corners were asked, and what tells cells near the surface, in grids of float32.
GRIDS = 6
FEWEST_POINTS, MOST_POINTS = 16_384, 262_144
SHARE_OF_FREE = 0.5


@dataclass(frozen=True)
class TokenWork:
    """One call of a network on tokens.

    Parameters
    ----------
    batch : int
        Rows, both passes of guidance counted.
    tokens : int
        Of one row.
    width : int
        Channels of a token.
    item_bytes : int
        Of one number.
    """

    batch: int
    tokens: int
    width: int
    item_bytes: int

    @property
    def size_bytes(self) -> int:
        """Memory of the call.

        >>> TokenWork(1, 4442, 1024, 2).size_bytes // 2**20
        347
        """
        return self.batch * self.tokens * self.width * WIDTHS_PER_TOKEN * self.item_bytes


def point_bytes(width: int, item_bytes: int) -> int:
    """Memory of one point of a call of the geometry decoder."""
    return WIDTHS_PER_POINT * width * item_bytes


def grid_bytes(cells: int) -> int:
    """Memory of a grid with so many cells along each side while it is filled."""
    return GRIDS * 4 * (cells + 1) ** 3


def fitting_points(free_bytes: int, width: int, item_bytes: int) -> int:
    """Return how many points one call may take: a power of two, within bounds.

    >>> fitting_points(8 * 2**30, 1024, 2), fitting_points(2**30, 1024, 2)
    (131072, 16384)
    """
    fitting = int(SHARE_OF_FREE * free_bytes) // point_bytes(width, item_bytes)
    bounded = min(max(fitting, FEWEST_POINTS), MOST_POINTS)
    return 1 << (bounded.bit_length() - 1)
