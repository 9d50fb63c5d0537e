"""The merge list: every division of a surface into parts that merging has gone through."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class PartTree:
    """Patches of a surface, and the order in which they merge.

    Patches are numbered from 0 to ``patch_count - 1``; merge ``i`` joins two nodes, each a patch
    or the result of an earlier merge, into node ``patch_count + i``. Whoever wants another number
    of parts undoes or does merges; nothing is computed anew.

    Parameters
    ----------
    face_patches : (m,) int32
        The patch of each face.
    patch_count : int
        Number of patches.
    merges : (k, 2) int32
        Nodes that each merge joins, in order.
    costs : (k,) float32
        What each merge was judged to cost; not always rising.
    suggested : int
        The number of parts that the engine would choose.
    """

    face_patches: NDArray[np.int32]
    patch_count: int
    merges: NDArray[np.int32]
    costs: NDArray[np.float32]
    suggested: int

    @property
    def fewest(self) -> int:
        """Parts that are left when everything that may merge has merged."""
        return self.patch_count - len(self.merges)

    def with_bodies(self, number: int) -> PartTree:
        """Add patches that merge with nothing, each a part; faces are left as they are."""
        nodes = self.merges + np.where(self.merges >= self.patch_count, number, 0)
        return replace(
            self,
            patch_count=self.patch_count + number,
            merges=nodes.astype(np.int32),
            suggested=self.suggested + number,
        )

    def patch_parts(self, count: int) -> NDArray[np.int32]:
        """Return the part of each patch, for a number of parts.

        Parameters
        ----------
        count : int
            From ``fewest`` to ``patch_count``; beyond that the nearest of them is taken.

        Returns
        -------
        (patch_count,) int32
            Parts are numbered from 0, in the order of their first patch.
        """
        done = self.patch_count - min(max(count, self.fewest), self.patch_count)
        parent = np.arange(self.patch_count + len(self.merges), dtype=np.int32)
        for number in range(done - 1, -1, -1):  # from the root down: parents are final
            node = self.patch_count + number
            parent[self.merges[number]] = parent[node]
        roots = parent[: self.patch_count]
        _, first, inverse = np.unique(roots, return_index=True, return_inverse=True)
        rank = np.zeros_like(first)
        rank[np.argsort(first)] = np.arange(len(first))
        return rank[inverse].astype(np.int32)

    def face_parts(self, count: int) -> NDArray[np.int32]:
        """Return the part of each face, (m,) int32, for a number of parts."""
        return self.patch_parts(count)[self.face_patches]

    def to_document(self) -> dict[str, Any]:
        """Write what a page needs to divide the surface by itself; faces are not in it."""
        return {
            "patch_count": self.patch_count,
            "merges": self.merges.tolist(),
            "costs": [round(float(cost), 5) for cost in self.costs],
            "suggested": self.suggested,
            "fewest": self.fewest,
        }
