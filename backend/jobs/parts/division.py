"""How a surface is divided into parts, and what an edit by hand changes about that.

A division is a list of merges, done in order until the wanted number of parts is left; merges
that join nothing are passed over. The engine wrote the list. Edits by hand only reorder it, so
that every count can still be chosen afterwards and the same count gives the same parts whatever
was chosen in between:

- Joining parts puts the merges inside them, and then their own, first: they come apart last.
- Splitting a part puts its last merge at the end: the halves come together last, and the larger
  half takes the place of the whole in the merges that follow. A merge by hand is dropped.
- Making some patches a part puts first what joins the rest of each part they are taken from, then
  what joins them, by hand where the engine did not. The engine's merges of such patches with such
  a rest are put at the end, so that they come together last.

The browser does the same in ``part-division.js``; a browser test compares them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

from backend.errors import FieldProblem, InvalidParameter


class Merge(NamedTuple):
    """Joins the parts that two patches are in."""

    first: int
    second: int
    by_hand: bool = False


class _Joined(NamedTuple):
    """The root of each patch, and which merges of the list joined something, in order."""

    roots: list[int]
    done: list[int]


@dataclass(frozen=True)
class Division:
    """A surface of patches, divided into parts.

    Parameters
    ----------
    patch_count : int
        Patches are numbered from 0.
    merges : tuple of Merge
        In the order in which they are done.
    count : int
        Number of parts, from ``fewest`` to ``patch_count``.
    names : tuple of (int, str)
        Names that were given, the latest last; each holds for the part that the patch is in.
    """

    patch_count: int
    merges: tuple[Merge, ...]
    count: int
    names: tuple[tuple[int, str], ...] = ()

    @cached_property
    def fewest(self) -> int:
        """Parts that are left when every merge has been done."""
        return self.patch_count - len(_join(self.patch_count, self.merges, 1).done)

    @cached_property
    def patch_parts(self) -> list[int]:
        """The part of each patch; parts are numbered from 0, in the order of their first patch."""
        numbers: dict[int, int] = {}
        return [numbers.setdefault(root, len(numbers)) for root in self._joined.roots]

    @cached_property
    def parts(self) -> list[list[int]]:
        """The patches of each part, rising."""
        members: list[list[int]] = [[] for _ in range(self.count)]
        for patch, part in enumerate(self.patch_parts):
            members[part].append(patch)
        return members

    @cached_property
    def part_names(self) -> dict[int, str]:
        """The names of the parts that have one; of several the one that was given last."""
        return {self.patch_parts[patch]: name for patch, name in self.names}

    def with_count(self, count: int) -> Division:
        """Divide into another number of parts.

        Raises
        ------
        InvalidParameter
            There is no such division.
        """
        if not self.fewest <= count <= self.patch_count:
            raise InvalidParameter(
                f"This mesh can be divided into {self.fewest} to {self.patch_count} parts, "
                f"not into {count}."
            )
        return replace(self, count=count)

    def merged(self, indices: Sequence[int]) -> Division:
        """Join two or more parts; raises InvalidParameter if there are no such parts."""
        wanted = sorted({self._checked(index) for index in indices})
        if len(wanted) < 2 or len(wanted) != len(indices):
            raise InvalidParameter("A merge needs two different parts or more.")
        inside = [
            position
            for position in self._joined.done
            if self.patch_parts[self.merges[position].first] in wanted
        ]
        by_hand = [Merge(self.parts[wanted[0]][0], self.parts[i][0], True) for i in wanted[1:]]
        merges = (
            *(self.merges[position] for position in inside),
            *by_hand,
            *_without(self.merges, inside),
        )
        return replace(self, merges=merges, count=self.count - len(by_hand))

    def split(self, index: int) -> Division:
        """Take back the last merge of a part.

        Raises
        ------
        InvalidParameter
            There is no such part, or it is a single patch.
        """
        patches = self.parts[self._checked(index)]
        own = [at for at in self._joined.done if self.patch_parts[self.merges[at].first] == index]
        if not own:
            raise InvalidParameter(
                f"Part {index} cannot be split further: it is a single patch.",
                advice="Split another part, or run the job again with a finer granularity.",
            )
        apart = self._apart(own, set(patches))
        moved = [self.merges[at] for at in apart if not self.merges[at].by_hand]
        merges = (*_without(self.merges, apart), *moved)
        return replace(self, merges=merges, count=self.count + 1)

    def taken(self, patches: Sequence[int]) -> Division:
        """Make some patches a part of their own, whatever parts they are in.

        Raises
        ------
        InvalidParameter
            There are no such patches, or they are a part already.
        """
        chosen = self._checked_patches(patches)
        touched = {self.patch_parts[patch] for patch in chosen}
        own = [at for at in self._joined.done if self._part_of(at) in touched]
        inside = [self.merges[at] for at in own]
        rests = [patch for part in touched for patch in self.parts[part] if patch not in chosen]
        kept = [*self._among(inside, set(rests)), *self._among(inside, chosen)]
        roots = _join(self.patch_count, kept, 1).roots
        apart = sorted({roots[patch] for patch in chosen})
        by_hand = [Merge(apart[0], patch, True) for patch in apart[1:]]
        crossing = [
            at
            for at, (first, second, _) in enumerate(self.merges)
            if (first in chosen) != (second in chosen)
            and self.patch_parts[first] == self.patch_parts[second]
        ]
        moved = [self.merges[at] for at in crossing if not self.merges[at].by_hand]
        merges = (*kept, *by_hand, *_without(self.merges, {*own, *crossing}), *moved)
        swallowed = sum(chosen.issuperset(self.parts[part]) for part in touched)
        names = tuple((self._staying(at, chosen), name) for at, name in self.names)
        return replace(self, merges=merges, count=self.count + 1 - swallowed, names=names)

    def renamed(self, names: Mapping[int, str]) -> Division:
        """Name parts; an empty name takes a part's name away. Raises InvalidParameter."""
        chosen = {self._checked(index) for index in names}
        kept = [(at, name) for at, name in self.names if self.patch_parts[at] not in chosen]
        given = [(self.parts[index][0], name) for index, name in names.items() if name]
        return replace(self, names=(*kept, *given))

    @cached_property
    def _joined(self) -> _Joined:
        return _join(self.patch_count, self.merges, self.count)

    def _checked(self, index: int) -> int:
        if not 0 <= index < self.count:
            raise InvalidParameter(
                f"There is no part {index}; the parts are numbered from 0 to {self.count - 1}."
            )
        return index

    def _checked_patches(self, patches: Sequence[int]) -> set[int]:
        chosen = set(patches)
        unknown = [patch for patch in patches if not 0 <= patch < self.patch_count]
        if unknown or not patches:
            detail = f"must be numbers of patches, from 0 to {self.patch_count - 1}"
            raise InvalidParameter(f"part: {detail}", fields=(FieldProblem("/part", detail),))
        if chosen == set(self.parts[self.patch_parts[patches[0]]]):
            raise InvalidParameter(
                "These patches are a part already.", advice="Choose other ones, or rename the part."
            )
        return chosen

    def _among(self, merges: Iterable[Merge], patches: set[int]) -> Iterable[Merge]:
        """Return what joins some of the patches that merges join; the others are stepped over."""
        roots = list(range(self.patch_count))
        standing = {patch: patch for patch in patches}
        for first, second, by_hand in merges:
            root, other = _root(roots, first), _root(roots, second)
            roots[other] = root
            sides = standing.get(root), standing.pop(other, None)
            if sides[0] is not None and sides[1] is not None:
                yield Merge(
                    first if first in patches else sides[0],
                    second if second in patches else sides[1],
                    by_hand,
                )
            elif sides[1] is not None:
                standing[root] = sides[1]

    def _part_of(self, position: int) -> int:
        """Return the part in which a merge was done."""
        return self.patch_parts[self.merges[position].first]

    def _staying(self, patch: int, chosen: set[int]) -> int:
        """Return the patch by which a part keeps its name while others are taken from it."""
        if patch not in chosen:
            return patch
        rest = (at for at in self.parts[self.patch_parts[patch]] if at not in chosen)
        return next(rest, patch)

    def _apart(self, own: Sequence[int], patches: set[int]) -> list[int]:
        """Return the merges that would join the halves of a part: its last, and idle ones."""
        kept = [self.merges[at] for at in own[:-1]]
        sides = _join(self.patch_count, kept, 1).roots
        crossing = [
            at
            for at, merge in enumerate(self.merges)
            if {merge.first, merge.second} <= patches and sides[merge.first] != sides[merge.second]
        ]
        return sorted(crossing, key=lambda at: at != own[-1])


def read_division(document: Mapping[str, Any]) -> Division:
    """Read the division that an engine made.

    Parameters
    ----------
    document : mapping
        ``part_tree.json``: ``patch_count``, ``merges`` of nodes, ``suggested``; and, so that the
        larger half of a split is known, ``patches.faces``.
    """
    patch_count = int(document["patch_count"])
    sizes = list((document.get("patches") or {}).get("faces") or [1] * patch_count)
    leaders = list(range(patch_count))
    merges = []
    for first, second in document["merges"]:
        merges.append(Merge(leaders[first], leaders[second]))
        leaders.append(leaders[first if sizes[first] >= sizes[second] else second])
        sizes.append(sizes[first] + sizes[second])
    whole = Division(patch_count, tuple(merges), patch_count)
    return replace(whole, count=min(max(int(document["suggested"]), whole.fewest), patch_count))


def color_numbers(division: Division) -> list[int]:
    """Give each patch the number of a colour, so that parts can be told apart at every count.

    A part has the colour of its first patch. At the count of ``division`` the parts have the
    numbers 0, 1, 2 and so on; each further split gives the next number to the new half only, so
    that colours stay while somebody moves from count to count.
    """
    numbers: dict[int, int] = {}
    for patches in division.parts:
        numbers[patches[0]] = len(numbers)
    for first in _split_off(division):
        numbers.setdefault(first, len(numbers))
    return [numbers[patch] for patch in range(division.patch_count)]


def _split_off(division: Division) -> Iterable[int]:
    """Return the first patch of what each merge had added, from the last merge back."""
    roots = list(range(division.patch_count))
    added = []
    for merge in division.merges:
        first, second = _root(roots, merge.first), _root(roots, merge.second)
        roots[max(first, second)] = min(first, second)
        if first != second:
            added.append(max(first, second))  # a root is the first patch of its part
    return reversed(added)


def _join(patch_count: int, merges: Sequence[Merge], count: int) -> _Joined:
    """Do merges in order until ``count`` parts are left; each root is its first patch."""
    roots = list(range(patch_count))
    done: list[int] = []
    for position, merge in enumerate(merges):
        if patch_count - len(done) <= count:
            break
        first, second = _root(roots, merge.first), _root(roots, merge.second)
        if first != second:
            roots[max(first, second)] = min(first, second)
            done.append(position)
    return _Joined([_root(roots, patch) for patch in range(patch_count)], done)


def _root(roots: list[int], patch: int) -> int:
    while roots[patch] != patch:
        roots[patch] = roots[roots[patch]]
        patch = roots[patch]
    return patch


def _without(merges: Sequence[Merge], positions: Iterable[int]) -> list[Merge]:
    left_out = set(positions)
    return [merge for at, merge in enumerate(merges) if at not in left_out]
