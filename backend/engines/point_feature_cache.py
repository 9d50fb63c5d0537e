"""Keeps what a network knows of surfaces it has looked at, so that a second look costs nothing."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from backend.meshes.source_mesh import SourceMesh


class Sized(Protocol):
    """Something that takes memory."""

    @property
    def size_bytes(self) -> int:
        """Memory that it takes."""


Kept = TypeVar("Kept", bound=Sized)


class PointFeatureCache(Generic[Kept]):
    """What was computed, by key; those that were not asked for longest are forgotten first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, Kept] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Kept | None:
        """Return what was kept under a key."""
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
            return found

    def put(self, key: Hashable, value: Kept, limit_bytes: int) -> None:
        """Keep something, and forget others until all fit.

        Parameters
        ----------
        limit_bytes : int
            Memory for all of them together. What is larger alone is not kept.
        """
        with self._lock:
            self._kept.pop(key, None)
            if value.size_bytes > limit_bytes:
                return
            self._kept[key] = value
            while self._size_bytes() > limit_bytes:
                self._kept.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._kept.clear()

    def __len__(self) -> int:
        """Return how many are kept."""
        with self._lock:
            return len(self._kept)

    def _size_bytes(self) -> int:
        return sum(one.size_bytes for one in self._kept.values())


feature_cache: PointFeatureCache[Any] = PointFeatureCache()
"""Of this process, for P3-SAM and X-Part alike, so that one limit holds for both together."""
term_cache: PointFeatureCache[Any] = PointFeatureCache()
"""What follows from features for questions about single points; it holds these, too."""


def geometry_digest(mesh: SourceMesh) -> str:
    """Name the geometry of a mesh, whatever it looks like: SHA-256 of vertices and faces."""
    digest = hashlib.sha256()
    for array in (mesh.vertices, mesh.faces):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
