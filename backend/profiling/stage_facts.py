"""How a stage went about its work: noted by engines while it runs, read by the rules of advice.

The documents are flat and JSON-ready; a figure that is not known is None.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

from backend.profiling.span_notes import note

FACTS = "facts"


Facts = Mapping[str, Mapping[str, Any]]


class FactName(StrEnum):
    """What is noted, and which figures its document holds.

    ``attention``: backend, best_backend, now_s, best_s (seconds per call of either), calls.
    ``loop``: steps, fewer_steps (the next lower count worth a try), forwards_per_step.
    ``decode``: resolution, queries, hierarchical_queries, lower_resolution, same_surface (whether
    a coarse-to-fine decode would have found the surface that a dense one found), bookkeeping_s
    (what coarse to fine would have taken beside asking).
    ``compiled``: is_on, graph_breaks, recompiles, recompile_s, compile_s.
    ``products``: dtype, largest ([m, n, k] of the largest matrix product), flop_share (of all
    operations those that products do).
    ``wait``: elapsed_s (in which it waited for the device or for the others of its batch).
    """

    ATTENTION = "attention"
    LOOP = "loop"
    DECODE = "decode"
    COMPILED = "compiled"
    PRODUCTS = "products"
    WAIT = "wait"


# Of a stage that runs several times in a job these add up; of the others the last one counts.
SUMMED = {
    FactName.ATTENTION.value: ("calls",),
    FactName.COMPILED.value: ("recompiles", "recompile_s"),
    FactName.WAIT.value: ("elapsed_s",),
}


def note_fact(name: FactName, document: Mapping[str, Any]) -> None:
    """Put a fact on the innermost stage that is open here; without one do nothing.

    Parameters
    ----------
    document : mapping
        JSON-ready, with the figures that ``FactName`` lists. A later one of the same name on the
        same run of a stage replaces the earlier one.
    """
    fact = {name.value: dict(document)}
    note(lambda noted: {FACTS: {**noted.get(FACTS, {}), **fact}})


def joined_facts(notes: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Join the facts in the attributes of several runs of a stage, in the order of the runs."""
    joined: dict[str, dict[str, Any]] = {}
    for noted in notes:
        for name, document in noted.get(FACTS, {}).items():
            before = joined.get(name, {})
            sums = {key: _sum(before, document, key) for key in SUMMED.get(name, ())}
            joined[name] = {**before, **document, **sums}
    return joined


def _sum(before: Mapping[str, Any], document: Mapping[str, Any], key: str) -> Any:
    """Add a figure; it is not known if one of the runs did not know it."""
    if not before:
        return document.get(key)
    first, second = before.get(key), document.get(key)
    return None if first is None or second is None else first + second
