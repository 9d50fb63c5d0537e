"""Which views of an object to paint: six that are always taken, and those that show more of it.

Source
------
The candidates and the greedy choice of Hunyuan3D-Paint 2.1 (Tencent 2025).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from backend.meshes.texturing.cameras import STANDARD_VIEWS, OrthographicCamera, WeightedView
from backend.meshes.texturing.rasteriser import PixelRule, rasterise
from backend.meshes.texturing.screen_faces import PUBLISHED_DEPTHS

SELECTION_PX = 1024
LEAST_GAIN = 0.01  # of the area of the surface
_DIGITS = 12  # of gains: of two that differ only by rounding the first counts
_EXTRA_WEIGHT = 0.01
EXTRA_VIEWS = tuple(
    WeightedView(OrthographicCamera(azimuth, elevation), _EXTRA_WEIGHT)
    for azimuth in range(0, 360, 30)
    for elevation in (20, -20)
)


def select_views(
    vertices: NDArray[np.floating],
    faces: NDArray[np.integer],
    most: int,
    *,
    size_px: int = SELECTION_PX,
    device: str | None = None,
    tell: Callable[[int, int], None] | None = None,
) -> tuple[WeightedView, ...]:
    """Add views to the standard six as long as each shows more than a hundredth that none did.

    Parameters
    ----------
    vertices : (n, 3) float
        In the unit frame.
    faces : (m, 3) int
    most : int
        Views at most; the standard six are always taken.
    size_px : int
        Side of the pictures in which faces are looked for.
    device : str or None
        Where to rasterise; the processor by default.
    tell : callable, optional
        Called with how many views were looked at and how many there are.
    """
    chosen = list(STANDARD_VIEWS)
    if most <= len(chosen):
        return tuple(chosen)
    views = (*STANDARD_VIEWS, *EXTRA_VIEWS)
    shown = _shown_faces(vertices, faces, views, size_px, device, tell)
    areas = _areas(vertices, faces)
    hidden, total = areas.copy(), max(float(areas.sum()), 1e-300)
    for seen in shown[: len(chosen)]:
        hidden[seen] = 0
    while len(chosen) < most:
        gains = np.array([hidden[seen].sum() for seen in shown]) / total
        best = int(np.argmax(gains.round(_DIGITS)))
        if gains[best] <= LEAST_GAIN:
            break
        chosen.append(views[best])
        hidden[shown[best]] = 0
    return tuple(chosen)


def _shown_faces(
    vertices: NDArray[np.floating],
    faces: NDArray[np.integer],
    views: Sequence[WeightedView],
    size_px: int,
    device: str | None,
    tell: Callable[[int, int], None] | None,
) -> list[NDArray[np.int64]]:
    shown = []
    for done, view in enumerate(views, start=1):
        screen, rule = view.camera.screen(vertices), PixelRule.CORNER_ALIGNED
        fragments = rasterise(
            screen, faces, size_px, size_px, rule, depths=PUBLISHED_DEPTHS, device=device
        )
        shown.append(fragments.seen_faces)
        if tell:
            tell(done, len(views))
    return shown


def _areas(vertices: NDArray[np.floating], faces: NDArray[np.integer]) -> NDArray[np.float64]:
    corners = np.asarray(vertices, dtype=np.float64)[faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return np.asarray(np.linalg.norm(cross, axis=1) / 2)
