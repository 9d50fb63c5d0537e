"""Which corners the published coarse-to-fine decoders ask, beside their rule written out.

The recorded fields are noise, of which nearly all corners are asked; here few are.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from backend.models.hunyuan3d.volume_decoding import hierarchical_grid

NOT_ASKED = -10_000.0


def field(points):
    """A few blobs in a space that is mostly far from them, and a thin sheet."""
    centres = torch.tensor([[0.3, -0.2, 0.1], [-0.5, 0.5, 0.4]])
    blobs = 8 * (0.25 - torch.cdist(points, centres).amin(dim=1))
    sheet = 40 * (0.02 - (points[:, 2] + 0.7).abs())
    return torch.maximum(blobs, sheet)


def dilated(marked):
    around, size = np.pad(marked, 1), marked.shape[0]
    shifts = product(range(3), repeat=3)
    return np.any([around[x : x + size, y : y + size, z : z + size] for x, y, z in shifts], axis=0)


def near(values):
    """Marked if the sign differs from that of a neighbour that was asked, or if near to 0."""
    around, size = np.pad(values, 1, mode="edge"), values.shape[0]
    marked = np.abs(values) < 0.95
    for x, y, z in [(0, 1, 1), (2, 1, 1), (1, 0, 1), (1, 2, 1), (1, 1, 0), (1, 1, 2)]:
        beside = around[x : x + size, y : y + size, z : z + size]
        beside = np.where(beside <= -9000, values, beside)
        marked |= (np.sign(beside) != np.sign(values)) & (values > -9000)
    return marked


def asked(points):
    return field(torch.from_numpy(points.astype(np.float32))).numpy()


def written_out(levels):
    """Section 9 of the description of the shape models."""
    axis = np.linspace(-1.01, 1.01, levels[0] + 1, dtype=np.float32)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
    values = asked(grid.reshape(-1, 3)).reshape(grid.shape[:3])
    for cells in levels[1:]:
        is_last = cells == levels[-1]
        marked = near(values) if is_last else dilated(near(values))
        finer = np.zeros((cells + 1,) * 3, bool)
        finer[tuple(2 * np.argwhere(marked).T)] = True
        finer = dilated(dilated(finer)) if is_last else dilated(finer)
        values = np.full(finer.shape, NOT_ASKED, np.float32)
        values[finer] = asked(np.argwhere(finer) * np.float32(2.02 / cells) + np.float32(-1.01))
    return np.where(values == NOT_ASKED, np.nan, values)


@pytest.mark.parametrize("levels", [[10, 20, 40], [8, 16, 33], [16, 32], [9, 18, 36]])
def test_the_same_corners_are_asked_and_lie_in_the_same_places(levels):
    expected = written_out(levels)
    found = hierarchical_grid(field, levels[-1], coarsest_cells=levels[0]).values.numpy()
    share = float(np.isnan(expected).mean())
    assert 0.3 < share < 0.95  # else the rule decides nothing
    np.testing.assert_allclose(found, expected, rtol=0, atol=5e-4)
