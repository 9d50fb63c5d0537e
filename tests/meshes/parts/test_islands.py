from __future__ import annotations

import numpy as np

from backend.meshes.parts.islands import without_islands
from backend.meshes.parts.surface import Surface
from tests.meshes.solids import box, sphere, together


def _ball():
    mesh = sphere(0.5, 4)
    surface = Surface.of(mesh.vertices.astype(np.float64), mesh.faces.astype(np.int64))
    return surface, (surface.centres[:, 0] > 0).astype(np.int64)


def test_specks_take_the_label_around_them():
    surface, halves = _ball()
    far = np.flatnonzero(np.abs(surface.centres[:, 0]) > 0.1)
    specks = np.random.default_rng(0).choice(far, 60, replace=False)
    labels = halves.copy()
    labels[specks] = 1 - labels[specks]
    assert np.array_equal(without_islands(surface.faces, labels, is_jagged=False), halves)


def test_jags_are_smoothed():
    surface, _ = _ball()
    noise = np.random.default_rng(0).normal(0, 0.01, len(surface.faces))
    labels = (surface.centres[:, 0] + noise > 0).astype(np.int64)
    smooth = without_islands(surface.faces, labels, is_jagged=True)

    def outvoted(labels):
        across = surface.pairs[labels[surface.pairs[:, 0]] != labels[surface.pairs[:, 1]]]
        return (np.bincount(across.reshape(-1), minlength=len(labels)) >= 2).sum()

    assert outvoted(smooth) < 0.1 * outvoted(labels)
    assert surface.pieces(smooth).max() == 1


def test_bodies_of_their_own_keep_their_label():
    mesh = together(box(), box((0.1, 0.1, 0.1), (2, 0, 0)))
    labels = np.zeros(24, dtype=np.int64)
    assert np.array_equal(
        without_islands(mesh.faces.astype(np.int64), labels, is_jagged=True), labels
    )
