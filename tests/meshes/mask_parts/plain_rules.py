"""The rules of P3-SAM after its masks, one face at a time: slow, and easy to read."""

from __future__ import annotations

from collections import Counter

import numpy as np


def fill(table: np.ndarray, labels: np.ndarray) -> np.ndarray:
    found = labels.tolist()
    for _ in range(50):
        changed = False
        for face, around in enumerate(table.tolist()):
            votes = Counter(found[n] for n in around if n >= 0 and found[n] >= 0)
            if found[face] < 0 and votes:
                found[face] = min(votes, key=lambda label: (-votes[label], label))
                changed = True
        if not changed:
            break
    return np.array(found)


def regions(table: np.ndarray, labels: np.ndarray) -> list[list[int]]:
    seen, found = set(), []
    for start in range(len(labels)):
        if start in seen:
            continue
        members = [start]
        seen.add(start)
        for face in members:
            for n in table[face].tolist():
                if n >= 0 and n not in seen and labels[n] == labels[start]:
                    seen.add(n)
                    members.append(n)
        found.append(members)
    return found


def votes(sample_faces: np.ndarray, sample_labels: np.ndarray, count: int) -> np.ndarray:
    found = np.full(count, -2)
    for face in set(sample_faces.tolist()):
        here = Counter(sample_labels[sample_faces == face].tolist())
        found[face] = min(here, key=lambda label: (-here[label], label))
    return found


def without_specks(table: np.ndarray, areas: np.ndarray, labels: np.ndarray) -> np.ndarray:
    whole, found = np.zeros(len(labels)), labels.copy()
    for piece in regions(table, np.zeros(len(labels))):
        whole[piece] = areas[piece].sum()
    for region in regions(table, labels):
        if areas[region].sum() / (whole[region[0]] + 1e-7) <= 0.001:
            found[region] = -1
    return found


def box(corners: np.ndarray, faces) -> np.ndarray:
    inside = corners[list(faces)].reshape(-1, 3)
    return np.stack([inside.min(0), inside.max(0)])


def reach(one: np.ndarray, other: np.ndarray) -> float:
    sides = np.maximum(0, np.maximum(other[1] - one[0], one[1] - other[0]))
    return float(np.sqrt((sides**2).sum()))


def absorb(table: np.ndarray, areas: np.ndarray, corners: np.ndarray, labels: np.ndarray):
    found = labels.copy()
    new = max(int(found.max()), -1) + 1
    pieces = regions(table, labels)
    for region in pieces:
        if found[region[0]] < 0 and areas[region].sum() / areas.sum() > 0.001:
            found[region] = new
            new += 1
    settled = found.copy()
    named = [region for region in pieces if settled[region[0]] >= 0]
    for region in pieces:
        if settled[region[0]] >= 0:
            continue
        around = {int(settled[n]) for f in region for n in table[f].tolist() if n >= 0} - {-1, -2}
        own = box(corners, region)
        if around:
            found[region] = min(sorted(around), key=lambda x: growth(corners, settled, x, own))
        else:
            boxes = [box(corners, other) for other in named]
            keys = [(reach(own, b), np.diff(b, axis=0).prod(), i) for i, b in enumerate(boxes)]
            found[region] = settled[named[min(keys)[2]][0]]
    return found


def growth(corners: np.ndarray, labels: np.ndarray, label: int, own: np.ndarray) -> float:
    before = box(corners, np.flatnonzero(labels == label))
    after = np.stack([np.minimum(before[0], own[0]), np.maximum(before[1], own[1])])
    return float((np.abs(after - before) / np.abs(before)).max())


def merge_tail(table: np.ndarray, areas: np.ndarray, labels: np.ndarray, threshold: float):
    pieces = sorted(regions(table, labels), key=lambda r: -areas[r].sum())
    shares = [areas[r].sum() / areas.sum() for r in pieces]
    running = np.cumsum(shares)
    parts = {i: list(r) for i, r in enumerate(pieces) if running[i] <= threshold}
    found = labels.copy()
    for i, region in enumerate(pieces):
        if running[i] <= threshold or shares[i] >= 0.01:
            continue
        around = {n for f in region for n in table[f].tolist()}
        for j, members in parts.items():
            if around & set(members):
                found[region] = labels[pieces[j][0]]
                members.extend(region)
                break
    return found
