"""Lines for all tensors of a file that a network is to give."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

from bench.parity.comparison import Comparison, compared, compared_exactly, failed
from bench.parity.golden_folder import GoldenFile


@dataclass(frozen=True)
class Tolerance:
    """How far values may be off.

    Parameters
    ----------
    absolute, relative : float
        The latter as a share of the recorded value.
    """

    absolute: float
    relative: float = 0.0


def compared_one(
    file: GoldenFile, name: str, made: Tensor, tolerance: Tolerance, suffix: str = ""
) -> Comparison:
    """Compare a tensor with the recorded one of a name; whole numbers may not differ."""
    title, expected = f"{file.name} {name}{suffix}", file.tensors[name]
    if expected.dtype.is_floating_point:
        return compared(title, made, expected, tolerance.absolute, relative=tolerance.relative)
    return compared_exactly(title, made, expected)


def all_recorded(
    file: GoldenFile, made: Mapping[str, Tensor], tolerance: Tolerance
) -> Iterator[Comparison]:
    """Compare everything that was recorded; what is not made counts as a failure."""
    for name in sorted(file.recorded):
        found = made.get(name)
        if found is None:
            yield failed(f"{file.name} {name}", "is not computed", tolerance.absolute)
        else:
            yield compared_one(file, name, found, tolerance)
