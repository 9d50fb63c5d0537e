"""Colours for texels that no picture shows, from those nearest on the surface that one does.

Neighbours in the atlas may be far apart on the surface and the other way round, so distances are
taken in space; a share of the normals keeps the two sides of thin walls apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from backend.meshes.texturing.texel_map import TexelMap
from backend.meshes.texturing.view_baking import PaintedTexels

NORMAL_SHARE = 0.15  # of the size of the object, for normals one apart
NEIGHBOURS = 8
QUERIES, SOURCES = 16_000, 80_000  # about as many texels are looked at, however large the atlas
QUERIES_PER_CHUNK = 1 << 13
NEARLY = 0.05  # neighbours may be so much farther; far from all that is painted it saves most
_COARSEST = 8  # texels
_POSITIONS_MEASURED = 100_000  # for the size of the object
_NEAR = 2.5  # texels of the lattice: how far apart on the surface its neighbours may be
_CLOSEST = 1e-6  # of the size of the object
_APART = 1e3  # sizes of the object between bodies: so far away nothing counts


def fill_hidden(
    texels: TexelMap,
    painted: PaintedTexels,
    *,
    bodies: NDArray[np.integer] | None = None,
    workers: int = 1,
    tell: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32] | None:
    """Colour every texel; those that are painted stay as they are.

    Parameters
    ----------
    texels : TexelMap
    painted : PaintedTexels
        Of these texels.
    bodies : (k,) int or None
        Which body each texel is part of, from 0; one body when not given. Colours stay within
        a body unless nothing of it is painted.
    workers : int
        Threads that look for neighbours; the result does not depend on it.
    tell : callable, optional
        Called with what is done and how much there is.

    Returns
    -------
    (k, c) float32, or None
        None when no texel is painted.

    Notes
    -----
    A hidden texel gets the mean of the 8 painted ones nearest to it in position and normal,
    weighted by the inverse square of the distance. In large atlases this is done for every n-th
    texel each way, and those between are interpolated from the ones that are near on the surface
    as well.
    """
    total = len(texels) - int(painted.is_painted.sum())
    if total == len(texels):
        return None
    colours = painted.colours.copy()
    if not total:
        return colours
    wanted = ~painted.is_painted
    if bodies is not None and bodies.any():
        has_colour = np.bincount(bodies, painted.is_painted) > 0
        apart = wanted & has_colour[bodies]
        _fill(texels, painted, colours, apart, bodies, workers, _up_to(tell, total))
        wanted &= ~apart
    _fill(texels, painted, colours, wanted, None, workers, _up_to(tell, total))
    if tell:
        tell(total, total)
    return colours


def _up_to(tell: Callable[[int, int], None] | None, total: int) -> Callable[[int], None]:
    return lambda done: tell(done, total) if tell else None


def _fill(
    texels: TexelMap,
    painted: PaintedTexels,
    colours: NDArray[np.float32],
    wanted: NDArray[np.bool_],
    bodies: NDArray[np.integer] | None,
    workers: int,
    tell: Callable[[int], None],
) -> None:
    """Colour the wanted texels, in place."""
    hidden = np.flatnonzero(wanted)
    if not len(hidden):
        return
    lattice = _Lattice.of(texels, _stride(len(hidden), QUERIES))
    sources = _sources(texels, painted, hidden, bodies)
    nearest = _NearestMean(_Places(texels, bodies), sources, colours[sources], workers)
    asked = lattice.is_on[hidden]
    first = hidden[asked]
    between = hidden[~asked]
    colours[first] = nearest.colours(first, tell)
    known = painted.is_painted | lattice.is_on
    values, is_near = lattice.interpolate(texels, between, colours, known, bodies)
    colours[between[is_near]] = values
    alone = between[~is_near]
    colours[alone] = nearest.colours(alone, None)


def _stride(count: int, wanted: int) -> int:
    """Return the distance of lattice points that leaves about the wanted number of a count."""
    return min(_COARSEST, max(1, round(float(np.sqrt(count / wanted)))))


class _Places:
    """Texels in the six dimensions of position and normal; only those asked for are laid out.

    Bodies are moved so far apart that what is nearest belongs to the same one.
    """

    def __init__(self, texels: TexelMap, bodies: NDArray[np.integer] | None) -> None:
        self._texels, self._bodies = texels, bodies
        count = 1 if bodies is None else int(bodies.max()) + 1
        self._side = int(np.ceil(np.cbrt(count)))
        some = texels.positions[:: max(1, len(texels) // _POSITIONS_MEASURED)]
        self._low = some.min(axis=0)
        extents = some.max(axis=0) - self._low
        self._size = np.float32(max(float(extents.max()), 1e-30))

    def points(self, chosen: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the places of texels, (k, 6) float64."""
        positions = ((self._texels.positions[chosen] - self._low) / self._size).astype(np.float64)
        if self._bodies is not None:
            positions += _APART * self._cells(self._bodies[chosen])
        normals = self._texels.normals[chosen] * np.float32(NORMAL_SHARE)
        return np.concatenate([positions, normals], axis=1)

    def _cells(self, bodies: NDArray[np.integer]) -> NDArray[np.int64]:
        """Return a cell of a cube for each body, (k, 3): numbers stay small."""
        side = self._side
        return np.stack([bodies % side, bodies // side % side, bodies // side**2], axis=1)


class _NearestMean:
    """Means of the nearest of some texels."""

    def __init__(
        self,
        places: _Places,
        sources: NDArray[np.int64],
        colours: NDArray[np.float32],
        workers: int,
    ) -> None:
        self._places = places
        self._colours = colours
        self._workers = workers
        # A tree that is not compacted is six times as fast here, where normals repeat.
        self._tree = cKDTree(places.points(sources), balanced_tree=False, compact_nodes=False)

    def colours(
        self, texels: NDArray[np.int64], tell: Callable[[int], None] | None
    ) -> NDArray[np.float32]:
        """Return the colours of texels, (k, c) float32."""
        found = np.zeros((len(texels), self._colours.shape[1]), dtype=np.float32)
        count = min(NEIGHBOURS, self._tree.n)
        for start in range(0, len(texels), QUERIES_PER_CHUNK):
            part = slice(start, start + QUERIES_PER_CHUNK)
            distances, indices = self._tree.query(
                self._places.points(texels[part]),
                k=range(1, count + 1),
                eps=NEARLY,
                workers=self._workers,
            )
            weights = 1 / np.square(np.maximum(distances, _CLOSEST))
            weights /= weights.sum(axis=1, keepdims=True)
            found[part] = np.einsum("kn,knc->kc", weights, self._colours[indices])
            if tell:
                tell(min(start + QUERIES_PER_CHUNK, len(texels)))
        return found


def _sources(
    texels: TexelMap,
    painted: PaintedTexels,
    hidden: NDArray[np.int64],
    bodies: NDArray[np.integer] | None,
) -> NDArray[np.int64]:
    """Return painted texels: those beside hidden ones, and of the others enough all over."""
    beside = np.zeros((texels.size + 2, texels.size + 2), dtype=np.bool_)
    rows, columns = texels.rows[hidden] + 1, texels.columns[hidden] + 1
    for down, right in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        beside[rows + down, columns + right] = True
    taken = beside[texels.rows + 1, texels.columns + 1]
    count = int(painted.is_painted.sum())
    taken |= _Lattice.of(texels, _stride(count, SOURCES)).is_on
    taken &= painted.is_painted
    if bodies is not None:  # none may be left with too few
        few = np.bincount(bodies, taken) < NEIGHBOURS
        taken |= few[bodies] & painted.is_painted
    sources = np.flatnonzero(taken)
    return sources if len(sources) else np.flatnonzero(painted.is_painted)


@dataclass(frozen=True)
class _Lattice:
    """Every n-th texel of an atlas each way.

    Parameters
    ----------
    stride : int
    is_on : (k,) bool
        Whether a texel belongs to it.
    """

    stride: int
    is_on: NDArray[np.bool_]

    @classmethod
    def of(cls, texels: TexelMap, stride: int) -> _Lattice:
        is_on = (texels.rows % stride == 0) & (texels.columns % stride == 0)
        return cls(stride, is_on)

    def interpolate(
        self,
        texels: TexelMap,
        wanted: NDArray[np.int64],
        colours: NDArray[np.float32],
        known: NDArray[np.bool_],
        bodies: NDArray[np.integer] | None,
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Interpolate texels from the four corners of the lattice round each.

        Returns
        -------
        values : (j, c) float32
            Of those that have a corner near them on the surface.
        is_near : (k,) bool
            Which of the wanted these are.
        """
        side = -(-texels.size // self.stride) + 1
        numbers = np.full((side, side), -1, dtype=np.int64)
        on = np.flatnonzero(self.is_on & known)
        numbers[texels.rows[on] // self.stride, texels.columns[on] // self.stride] = on
        row, down = np.divmod(texels.rows[wanted], self.stride)
        column, right = np.divmod(texels.columns[wanted], self.stride)
        limit = np.float32(_NEAR * self.stride * _texel_pitch(texels))
        total = np.zeros((len(wanted), colours.shape[1]), dtype=np.float32)
        sums = np.zeros(len(wanted), dtype=np.float32)
        for below in (0, 1):
            for beside in (0, 1):
                share = _share(down, self.stride, below) * _share(right, self.stride, beside)
                corner = numbers[row + below, column + beside]
                apart = texels.positions[wanted] - texels.positions[corner]
                near = (corner >= 0) & (np.einsum("kc,kc->k", apart, apart) < limit * limit)
                if bodies is not None:
                    near &= bodies[corner] == bodies[wanted]
                weights = np.where(near, share, np.float32(0))
                total += colours[corner] * weights[:, None]
                sums += weights
        is_near = sums > 0
        return total[is_near] / sums[is_near, None], is_near


def _share(offset: NDArray[np.int32], stride: int, end: int) -> NDArray[np.float32]:
    """Return how much the start (0) or the end (1) of a step of the lattice counts."""
    along = offset.astype(np.float32) / np.float32(stride)
    return along if end else 1 - along


def _texel_pitch(texels: TexelMap) -> float:
    """Return the usual distance on the surface of neighbours in a row of the atlas."""
    beside = (np.diff(texels.rows) == 0) & (np.diff(texels.columns) == 1)
    first = np.flatnonzero(beside)
    if not len(first):
        return 0.0
    first = first[:: max(1, len(first) // 10_000)]
    apart = texels.positions[first + 1] - texels.positions[first]
    return float(np.median(np.linalg.norm(apart, axis=1)))
