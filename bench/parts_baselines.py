"""Simple ways of finding parts, to compare with."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow

from backend.meshes.parts.analysis import prepare_analysis
from backend.meshes.parts.bodies import gather_bodies
from backend.meshes.parts.rays import RayScene
from backend.meshes.parts.shape_diameter import normalised, shape_diameter
from backend.meshes.parts.surface import Surface
from backend.meshes.parts.welding import weld
from backend.meshes.triangle_mesh import TriangleMesh

Labels = NDArray[np.int64]
CLASSES, SMOOTHNESS, CONVEX_SHARE = 5, 0.26, 0.1
SMALLEST_SHARE, SWEEPS, EM_ROUNDS = 0.005, 2, 60
UNITS = 1000.0
"""Energies are counted in thousandths: the maximum flow of scipy takes whole numbers."""


def clustered(mesh: TriangleMesh, count: int) -> Labels:
    """k-means on the middles of faces; it is told the number of parts."""
    centres = mesh.vertices[mesh.faces].mean(axis=1, dtype=np.float64)
    return np.asarray(kmeans2(centres, count, seed=0, minit="++", iter=30)[1], dtype=np.int64)


def connected(mesh: TriangleMesh) -> Labels:
    """Bodies that share no vertex."""
    welded = weld(mesh.vertices, mesh.faces)
    labels = np.zeros(len(mesh.faces), dtype=np.int64)
    labels[welded.source_faces] = welded.bodies
    return labels


def diameter_classes(mesh: TriangleMesh) -> Labels:
    """Classes of shape diameter by a Gaussian mixture, smoothed by alpha expansion, then pieces.

    Source
    ------
    Shapira, Shamir, Cohen-Or (2008) with the constants of CGAL's documentation; own code. Looks
    at the same coarsened surface as the engine.
    """
    welded = weld(mesh.vertices, mesh.faces)
    bodies = gather_bodies(welded)
    analysis = prepare_analysis(welded, bodies)
    surface = analysis.surface
    thickness = normalised(shape_diameter(surface, RayScene(surface)))
    classes = _expanded(surface, _class_costs(thickness))
    pieces = _without_crumbs(surface, surface.pieces(classes))
    labels = np.zeros(len(mesh.faces), dtype=np.int64)
    labels[welded.source_faces] = analysis.welded_labels(pieces, welded, bodies)
    return labels


def _without_crumbs(surface: Surface, pieces: Labels) -> Labels:
    """Give pieces of less than 0.5 % of the area to their neighbours."""
    areas = np.bincount(pieces, surface.areas)
    small = (areas < SMALLEST_SHARE * areas.sum())[pieces]
    pieces = pieces.copy()
    while small.any():
        i, j = surface.pairs[small[surface.pairs[:, 0]] != small[surface.pairs[:, 1]]].T
        if not len(i):
            break
        pieces[np.where(small[i], i, j)] = pieces[np.where(small[i], j, i)]
        small[i] = small[j] = False
    return pieces


def _class_costs(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fit a mixture by expectation and maximisation; minus log of the shares, (m, CLASSES)."""
    means = np.quantile(values, (np.arange(CLASSES) + 0.5) / CLASSES)
    spreads = np.full(CLASSES, values.std() / CLASSES + 1e-3)
    weights = np.full(CLASSES, 1 / CLASSES)
    shares = np.zeros((len(values), CLASSES))
    for _ in range(EM_ROUNDS):
        density = weights / spreads * np.exp(-0.5 * ((values[:, None] - means) / spreads) ** 2)
        shares = density / np.maximum(density.sum(axis=1, keepdims=True), 1e-300)
        total = shares.sum(axis=0) + 1e-9
        weights, means = total / len(values), (shares * values[:, None]).sum(axis=0) / total
        square = (values[:, None] - means) ** 2
        spreads = np.sqrt((shares * square).sum(axis=0) / total + 1e-4)
    return np.asarray(-np.log(np.clip(shares, 1e-6, 1)))


def _expanded(surface: Surface, unary: NDArray[np.float64]) -> Labels:
    """Alpha expansion with a Potts term that is weak at sharp concave edges."""
    turn = np.where(surface.is_convex, CONVEX_SHARE, 1.0) * surface.turns / np.pi
    price = SMOOTHNESS * np.minimum(-np.log(np.clip(turn, 1e-4, 1)), 6)
    labels: Labels = np.asarray(unary.argmin(axis=1), dtype=np.int64)
    for _ in range(SWEEPS):
        for alpha in range(CLASSES):
            labels = _expansion(surface.pairs, unary, price, labels, alpha)
    return labels


def _expansion(
    pairs: NDArray[np.int64],
    unary: NDArray[np.float64],
    price: NDArray[np.float64],
    labels: Labels,
    alpha: int,
) -> Labels:
    """Let faces change to one label where that lowers the sum (a minimum cut)."""
    rows = np.arange(len(labels))
    i, j = pairs.T
    both_keep = price * (labels[i] != labels[j])
    first_keeps = price * (labels[i] != alpha)
    second_keeps = price * (labels[j] != alpha)
    keep, change = unary[rows, labels].copy(), unary[:, alpha].copy()
    change += np.bincount(i, second_keeps - both_keep, len(rows))
    change += np.bincount(j, -second_keeps, len(rows))
    across = first_keeps + second_keeps - both_keep
    least = np.minimum(keep, change)
    changes = _source_side(keep - least, change - least, i, j, across)
    return np.where(changes, alpha, labels)


def _source_side(
    keep: NDArray[np.float64],
    change: NDArray[np.float64],
    i: NDArray[np.int64],
    j: NDArray[np.int64],
    across: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Cut the graph; the faces that the source cannot reach any more change."""
    count = len(keep)
    source, sink, every = count, count + 1, np.arange(count)
    start = np.concatenate([np.full(count, source), every, i])
    stop = np.concatenate([every, np.full(count, sink), j])
    capacity = np.rint(UNITS * np.concatenate([change, keep, across])).astype(np.int32)
    graph = csr_array((capacity, (start, stop)), shape=(count + 2,) * 2)
    left = csr_array(graph - maximum_flow(graph, source, sink).flow)
    left.data = np.maximum(left.data, 0)
    left.eliminate_zeros()
    return np.asarray(~_reachable(left, source)[:count])


def _reachable(graph: csr_array[Any, tuple[int, int]], start: int) -> NDArray[np.bool_]:
    seen = np.zeros(graph.shape[0], dtype=np.bool_)
    front = np.array([start])
    links = graph.T.tocsr()
    while len(front):
        seen[front] = True
        mark = np.zeros(len(seen))
        mark[front] = 1
        front = np.flatnonzero((links @ mark > 0) & ~seen)
    return seen
