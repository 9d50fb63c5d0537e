"""The published way from labels of points to parts: Python loops over faces."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np
import trimesh
from numpy.typing import NDArray

UNSEEN, UNLABELLED = -2, -1
MOST_PASSES = 50
SMALL_SHARE, MERGED_SHARE = 0.001, 0.01
AREA_EPSILON = 1e-7

Labels = NDArray[np.int64]
Box = NDArray[np.float64]


@dataclass(frozen=True)
class Region:
    """Faces of one label that hang together."""

    label: int
    faces: list[int]
    area: float


@dataclass(frozen=True)
class Solid:
    """A mesh as the loops read it.

    Parameters
    ----------
    corners : (faces, 3, 3) float64
    neighbours : list of list of int
        Of each face.
    areas : (faces,) float64
    """

    corners: NDArray[np.float64]
    neighbours: list[list[int]]
    areas: NDArray[np.float64]

    @classmethod
    def of(cls, mesh: trimesh.Trimesh) -> Solid:
        """Note what touches what."""
        neighbours: list[list[int]] = [[] for _ in mesh.faces]
        for one, other in mesh.face_adjacency.tolist():
            neighbours[one].append(other)
            neighbours[other].append(one)
        return cls(np.asarray(mesh.triangles), neighbours, np.asarray(mesh.area_faces))

    def box(self, faces: list[int]) -> Box:
        """Return the lower and the upper corner of faces, (2, 3)."""
        found = self.corners[faces].reshape(-1, 3)
        return np.stack([found.min(axis=0), found.max(axis=0)])


def face_parts(
    solid: Solid,
    sample_faces: NDArray[np.integer],
    sample_labels: Labels,
    *,
    threshold: float,
    post_process: bool,
) -> tuple[Labels, NDArray[np.float64]]:
    """Carry labels of samples over to faces.

    Parameters
    ----------
    sample_faces, sample_labels : (samples,)
    threshold : float
        Share of the area beyond which small parts are merged.
    post_process : bool
        Merge them at all.

    Returns
    -------
    ids : (faces,) int64
    boxes : (parts, 2, 3) float64
        In the order of the ids.
    """
    labels = _projected(len(solid.corners), sample_faces, sample_labels)
    labels = _filled(solid, labels + 1) - 1
    labels = _without_specks(solid, labels)
    labels = _filled(solid, labels)
    labels = _with_new_parts(solid, labels)
    labels = _absorbed(solid, labels)
    if post_process:
        labels = _tail_merged(solid, labels, threshold)
    ids = [one for one in np.unique(labels) if one >= 0]
    boxes = [solid.box(np.flatnonzero(labels == one).tolist()) for one in ids]
    return labels, np.array(boxes).reshape(-1, 2, 3)


def _projected(faces: int, sample_faces: NDArray[np.integer], labels: Labels) -> Labels:
    """Let the samples of a face vote; the smallest label wins a draw."""
    votes: dict[int, list[int]] = defaultdict(list)
    for face, label in zip(sample_faces.tolist(), labels.tolist(), strict=True):
        votes[face].append(label)
    found = np.full(faces, UNSEEN, np.int64)
    for face, cast in votes.items():
        found[face] = _most_frequent(cast)
    return found


def _most_frequent(labels: list[int]) -> int:
    counts = Counter(labels)
    return min(counts, key=lambda label: (-counts[label], label))


def _filled(solid: Solid, given: Labels) -> Labels:
    """Give faces without a label that of most neighbours; each change counts at once."""
    labels: list[int] = given.tolist()
    for _ in range(MOST_PASSES):
        changed = False
        for face, label in enumerate(labels):
            if label >= 0:
                continue
            around = [labels[other] for other in solid.neighbours[face] if labels[other] >= 0]
            if around:
                labels[face] = _most_frequent(around)
                changed = True
        if not changed:
            break
    return np.array(labels, np.int64)


def _regions(solid: Solid, labels: Labels) -> list[Region]:
    """Find what hangs together and has one label, breadth first."""
    of_face: list[int] = labels.tolist()
    seen = [False] * len(of_face)
    found = []
    for start, label in enumerate(of_face):
        if seen[start]:
            continue
        seen[start] = True
        faces, queue = [], [start]
        while queue:
            face = queue.pop(0)
            faces.append(face)
            for other in solid.neighbours[face]:
                if not seen[other] and of_face[other] == label:
                    seen[other] = True
                    queue.append(other)
        found.append(Region(label, faces, float(solid.areas[faces].sum())))
    return found


def _without_specks(solid: Solid, labels: Labels) -> Labels:
    """Take the label off regions that are tiny beside the component they are in."""
    whole = np.zeros(len(labels))
    for component in _regions(solid, np.zeros_like(labels)):
        whole[component.faces] = component.area
    found = labels.copy()
    for region in _regions(solid, labels):
        if region.area / (whole[region.faces[0]] + AREA_EPSILON) <= SMALL_SHARE:
            found[region.faces] = UNLABELLED
    return found


def _with_new_parts(solid: Solid, labels: Labels) -> Labels:
    """Make parts of large regions that nothing has labelled."""
    found, total = labels.copy(), solid.areas.sum()
    following = int(labels.max()) + 1
    for region in _regions(solid, labels):
        if region.label < 0 and region.area / total > SMALL_SHARE:
            found[region.faces] = following
            following += 1
    return found


def _absorbed(solid: Solid, labels: Labels) -> Labels:
    """Give what is left to the part beside it whose box grows least, or to the nearest."""
    found = labels.copy()
    regions = _regions(solid, labels)
    named = [region for region in regions if region.label >= 0]
    boxes = {
        one: solid.box(np.flatnonzero(labels == one).tolist())
        for one in sorted({region.label for region in named})
    }
    for region in regions:
        if region.label >= 0 or not named:
            continue
        own = solid.box(region.faces)
        around = {int(labels[other]) for face in region.faces for other in solid.neighbours[face]}
        beside = sorted(one for one in around if one >= 0)
        if beside:
            found[region.faces] = min(beside, key=lambda one: _growth(boxes[one], own))
        else:
            nearest = min(named, key=lambda one: _distance(solid.box(one.faces), own))
            found[region.faces] = nearest.label
    return found


def _growth(box: Box, added: Box) -> float:
    """Compare corners with the joint box, in shares of the coordinates."""
    joint = np.stack([np.minimum(box[0], added[0]), np.maximum(box[1], added[1])])
    with np.errstate(divide="ignore", invalid="ignore"):
        return float((np.abs(joint - box) / np.abs(box)).max())


def _distance(box: Box, other: Box) -> tuple[float, float]:
    """Return the published distance, which is no true gap, and the volume that decides a draw."""
    gaps = np.maximum(0, np.maximum(other[1] - box[0], box[1] - other[0]))
    return float(np.sqrt((gaps**2).sum())), float(np.prod(box[1] - box[0]))


def _tail_merged(solid: Solid, labels: Labels, threshold: float) -> Labels:
    """Merge the smallest parts, those beyond a share of the area, with what is beside them."""
    found, total = labels.copy(), solid.areas.sum()
    regions = sorted(_regions(solid, labels), key=lambda one: -one.area)
    of_face = np.zeros(len(labels), np.int64)
    for place, region in enumerate(regions):
        of_face[region.faces] = place
    shares = np.array([region.area for region in regions]) / total
    is_large = np.cumsum(shares) <= threshold
    for place, region in enumerate(regions):
        if is_large[place] or shares[place] >= MERGED_SHARE:
            continue
        around = {int(of_face[other]) for face in region.faces for other in solid.neighbours[face]}
        large = sorted(one for one in around if one != place and is_large[one])
        if large:
            found[region.faces] = regions[large[0]].label
            of_face[region.faces] = large[0]
    return found
