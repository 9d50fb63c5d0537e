"""In which number format a stage computes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

Capability = tuple[int, int]
BF16_FROM: Capability = (8, 0)
FP16_FROM: Capability = (7, 0)


class Precision(StrEnum):
    """Number formats of weights and products; ``auto`` goes by the card."""

    FP32 = "fp32"
    FP16 = "fp16"
    BF16 = "bf16"
    AUTO = "auto"


@dataclass(frozen=True)
class PrecisionChoice:
    """What a stage computes in, and why."""

    precision: Precision
    reason: str


class PrecisionRules:
    """Which formats a stage may use; fp32 is always allowed.

    Parameters
    ----------
    by_stage : dict of str to set of Precision
        Stages that are not named may use all.
    """

    def __init__(self, by_stage: dict[str, set[Precision]] | None = None) -> None:
        self._by_stage = by_stage or {}

    def choose(
        self, stage: str, wanted: Precision, capability: Capability | None
    ) -> PrecisionChoice:
        """Choose the format of a stage.

        Parameters
        ----------
        capability : (major, minor) or None
            CUDA compute capability; None on a processor.
        """
        allowed = self._by_stage.get(stage, {*Precision}) | {Precision.FP32}
        if capability is None:
            return PrecisionChoice(Precision.FP32, "a processor computes in fp32")
        if wanted is not Precision.AUTO:
            return _wanted(wanted, stage, allowed, capability)
        for precision, least in ((Precision.BF16, BF16_FROM), (Precision.FP16, FP16_FROM)):
            if precision in allowed and capability >= least:
                return PrecisionChoice(precision, f"the fastest that {stage} allows on this card")
        return PrecisionChoice(Precision.FP32, f"{stage} allows nothing faster on this card")


def _wanted(
    wanted: Precision, stage: str, allowed: set[Precision], capability: Capability
) -> PrecisionChoice:
    least = {Precision.BF16: BF16_FROM, Precision.FP16: FP16_FROM}.get(wanted, (0, 0))
    if wanted not in allowed:
        return PrecisionChoice(Precision.FP32, f"{stage} loses its result in {wanted}")
    if capability < least:
        card = f"{capability[0]}.{capability[1]}"
        return PrecisionChoice(Precision.FP32, f"a card of compute capability {card} is slow in it")
    return PrecisionChoice(wanted, "as set")


def torch_dtype(precision: Precision) -> torch.dtype:
    """Return torch's name of a format; raises ValueError for ``auto``."""
    import torch

    names = {
        Precision.FP32: torch.float32,
        Precision.FP16: torch.float16,
        Precision.BF16: torch.bfloat16,
    }
    if precision not in names:
        raise ValueError("auto has to be resolved first")
    return names[precision]


@dataclass(frozen=True)
class Difference:
    """How far a result is from its reference.

    Parameters
    ----------
    max_abs, relative : float
        Largest difference, and that over the largest value of the reference.
    cosine : float
        1.0 for the same direction.
    finite : bool
        Whether both hold finite numbers only.
    """

    max_abs: float
    relative: float
    cosine: float
    finite: bool


def compare(reference: Any, candidate: Any) -> Difference:
    """Compare two tensors of the same shape in fp64; raises ValueError when shapes differ."""
    import torch

    if reference.shape != candidate.shape:
        raise ValueError(f"shapes differ: {tuple(reference.shape)} and {tuple(candidate.shape)}")
    exact, other = reference.detach().double().flatten(), candidate.detach().double().flatten()
    if not bool(torch.isfinite(other).all() and torch.isfinite(exact).all()):
        return Difference(float("inf"), float("inf"), float("nan"), finite=False)
    max_abs = float((exact - other).abs().max())
    largest = float(exact.abs().max())
    same = torch.nn.functional.cosine_similarity(exact, other, dim=0)
    cosine = 1.0 if max_abs == 0 else float(same)
    return Difference(max_abs, max_abs / largest if largest else max_abs, cosine, finite=True)
