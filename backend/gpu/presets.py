"""Starting values for a card, by the size of its memory; measurements replace them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from backend.errors import InvalidParameter

HARD_CAP = 0.9
TARGET = 0.85
GB = 1024
USABLE = 0.92  # cards keep a part of their memory for themselves


@dataclass(frozen=True)
class Preset:
    """How a card is used before anything was measured on it.

    Parameters
    ----------
    memory_fraction, target_utilization : float
        Hard cap of this process, and what batches aim at; the target lies below the cap.
    empty_cache_threshold : float
        Share of the memory above which unused cache is given back, if it is worth it.
    """

    name: str
    precision: str
    memory_fraction: float = HARD_CAP
    target_utilization: float = TARGET
    empty_cache_threshold: float = 0.8
    min_reclaim_mb: int = 512
    cudnn_benchmark: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.target_utilization < self.memory_fraction <= 1:
            raise InvalidParameter(
                f"The target of {self.target_utilization} has to lie between 0 and the hard cap "
                f"of {self.memory_fraction}."
            )

    def aiming_at(self, target_utilization: float) -> Preset:
        """Return the preset with another target; raises InvalidParameter."""
        return replace(self, target_utilization=target_utilization)


PRESETS = {
    preset.name: preset
    for preset in (
        Preset("cpu", precision="fp32"),
        Preset("8gb", precision="auto"),
        Preset("12gb", precision="auto"),
        Preset("16gb", precision="auto"),
        Preset("24gb", precision="auto"),
        Preset("32gb", precision="auto"),
        Preset("80gb", precision="auto"),
    )
}
ALIASES = {"rtx4090": "24gb", "rtx3090": "24gb", "rtx5090": "32gb"}
_SIZES_GB = (8, 12, 16, 24, 32, 80)


def preset_for(total_mb: float | None, name: str = "auto", card: str | None = None) -> Preset:
    """Choose the preset of a card.

    Parameters
    ----------
    total_mb : float or None
        Memory of the card; None without one.
    name : str
        ``auto``, or a preset or alias by name.
    card : str, optional
        Name of the card; one whose memory cannot be read counts as small.

    Raises
    ------
    InvalidParameter
        There is no preset of this name.

    Examples
    --------
    >>> preset_for(24564).name, preset_for(None).name, preset_for(None, "rtx4090").name
    ('24gb', 'cpu', '24gb')
    """
    if name != "auto":
        key = ALIASES.get(name, name)
        if key not in PRESETS:
            raise InvalidParameter(
                f"There is no preset {name!r}; there are {', '.join((*PRESETS, *ALIASES))}."
            )
        return PRESETS[key]
    if total_mb is None:
        return PRESETS["cpu" if card is None else f"{_SIZES_GB[0]}gb"]
    fitting = [size for size in _SIZES_GB if size * GB * USABLE <= total_mb]
    return PRESETS[f"{max(fitting, default=_SIZES_GB[0])}gb"]
