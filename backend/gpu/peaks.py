"""What a card can do at most: looked up, or computed from its units and clock."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

VARIANTS = frozenset({"D", "Ti", "SUPER", "Laptop", "NVL", "Max-Q", "MIG"})
# On the tensor cores of these families; the tables of the vendor show it for each card.
TF32_SHARE = 0.5
TABLE = Path(__file__).with_name("peaks.json")


@dataclass(frozen=True)
class GpuPeak:
    """Peak rates of a card, dense.

    Parameters
    ----------
    tflops_fp16, tflops_fp16_acc16 : float
        fp16 or bf16 products summed in fp32, and fp16 summed in fp16, in 10^12 operations a
        second; the second is None when computed.
    tflops_fp32 : float
        Without tensor cores.
    bandwidth_gb_s : float or None
        Of the card's memory, in 10^9 bytes a second; None when computed.
    computed : bool
        From units and clock instead of the vendor's document.
    fp32_boost_mhz : float or None
        Clock that ``tflops_fp32`` is told for; None if that is ``boost_mhz``.
    """

    name: str
    compute_capability: str
    sms: int
    boost_mhz: float
    tflops_fp16: float
    bandwidth_gb_s: float | None
    tflops_fp16_acc16: float | None
    tflops_fp32: float
    tflops_fp8: float | None
    vram_gb: float | None
    tdp_w: float | None
    source: str
    verified: bool
    computed: bool = False
    fp32_boost_mhz: float | None = None

    @property
    def ridge_flop_per_byte(self) -> float | None:
        """Operations per byte above which work is bound by arithmetic, not by memory."""
        if self.bandwidth_gb_s is None:
            return None
        return 1000 * self.tflops_fp16 / self.bandwidth_gb_s

    @property
    def flop_per_s(self) -> dict[str, float]:
        """Operations a second by what a product computes in, summed in fp32."""
        tflops = {
            "fp32": self.tflops_fp32,
            "tf32": self.tflops_fp16 * TF32_SHARE,
            "fp16": self.tflops_fp16,
            "bf16": self.tflops_fp16,
            "fp8": self.tflops_fp8,
        }
        return {dtype: rate * 1e12 for dtype, rate in tflops.items() if rate is not None}

    @property
    def bytes_per_s(self) -> float | None:
        """Bytes a second to and from the card's memory; None when computed."""
        return None if self.bandwidth_gb_s is None else self.bandwidth_gb_s * 1e9

    def at_clock(self, live_mhz: float) -> GpuPeak:
        """Return the peak at a live clock, which tells throttling from inefficiency."""
        boosts = dict.fromkeys(("tflops_fp16", "tflops_fp16_acc16", "tflops_fp8"), self.boost_mhz)
        boosts["tflops_fp32"] = self.fp32_boost_mhz or self.boost_mhz
        rates = {
            name: getattr(self, name) * live_mhz / boost_mhz
            for name, boost_mhz in boosts.items()
            if getattr(self, name) is not None
        }
        return replace(self, **rates, boost_mhz=live_mhz, fp32_boost_mhz=live_mhz)


def peak_of(
    name: str,
    compute_capability: str | None = None,
    sms: int | None = None,
    boost_mhz: float | None = None,
) -> GpuPeak | None:
    """Find the peak of a card.

    Parameters
    ----------
    name : str
        As the driver names it.
    compute_capability, sms, boost_mhz
        Of the card, to compute the peak of one that is not in the table.

    Returns
    -------
    GpuPeak or None
        None when the card is unknown and not enough is given, or its family is.
    """
    for card in _table()["cards"]:
        if any(_names(part, name) for part in card["match"]):
            fields = {key: value for key, value in card.items() if key in _FIELDS}
            return GpuPeak(**fields)
    if compute_capability is None or sms is None or boost_mhz is None:
        return None
    tflops = computed_tflops(name, compute_capability, sms, boost_mhz)
    tflops_fp32 = computed_tflops(name, compute_capability, sms, boost_mhz, "fp32")
    if tflops is None or tflops_fp32 is None:
        return None
    return GpuPeak(
        name=name,
        compute_capability=compute_capability,
        sms=sms,
        boost_mhz=boost_mhz,
        tflops_fp16=tflops,
        bandwidth_gb_s=None,
        tflops_fp16_acc16=None,
        tflops_fp32=tflops_fp32,
        tflops_fp8=None,
        vram_gb=None,
        tdp_w=None,
        source="units and clock",
        verified=False,
        computed=True,
    )


def computed_tflops(
    name: str, compute_capability: str, sms: int, boost_mhz: float, dtype: str = "fp16"
) -> float | None:
    """Compute a dense rate with fp32 sums, in 10^12 operations a second.

    Parameters
    ----------
    dtype : {"fp16", "fp32"}
        fp16 on the tensor cores, which is also that of bf16; fp32 without them.

    Returns
    -------
    float or None
        None for a family that is not known.

    Source
    ------
    Multiprocessors x clock x operations per clock and multiprocessor of the family. It gives
    the documented figures of the RTX 3090, 4090, 4090 D and 5090, the A10, A100 and H100.
    """
    geforce = "geforce" in name.lower() or "rtx" in name.lower().split()
    professional = any(word in name.lower() for word in ("ada generation", "rtx a", "quadro"))
    for family in _table()["flop_per_clock_and_sm"]:
        fits = family["geforce"] in (None, geforce and not professional)
        if compute_capability in family["compute_capability"] and fits:
            return float(sms * boost_mhz * family[dtype]) / 1e6
    return None


_FIELDS = {field for field in GpuPeak.__dataclass_fields__ if field != "computed"}


def _names(part: str, name: str) -> bool:
    """Whether a card's name contains these whole words, and is no variant of the card they name.

    An L4 is no L40, a GH200 no H200, and neither a laptop's RTX 4090 nor a 3090 Ti nor a slice of
    an A100 has the figures of the card it is called after.
    """
    found = re.search(rf"(?<![\w-]){re.escape(part)}(?![\w-])\s*([\w-]*)", name)
    return found is not None and found[1] not in VARIANTS and " MIG " not in name


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(TABLE.read_text(encoding="utf-8"))
    return table
