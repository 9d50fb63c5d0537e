"""How torch asks the driver for memory: decided before torch is imported, reported afterwards."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass

VARIABLE, OLD_VARIABLE = "PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"
OURS = "expandable_segments:True"


@dataclass(frozen=True)
class AllocatorSettings:
    """What is in force.

    Parameters
    ----------
    value : str
        As torch reads it; empty for its defaults.
    origin : str
        Who set it: 'user', 'meshkiln' or 'default'.
    """

    value: str
    origin: str


def allocator_environment(env: Mapping[str, str]) -> dict[str, str]:
    """Return what to add to the environment of a process that will import torch.

    Segments that grow keep freed memory usable for blocks of another size. A value of the
    user's own stays, and WSL and Windows do not support it.

    >>> allocator_environment({"PYTORCH_CUDA_ALLOC_CONF": "max_split_size_mb:512"})
    {}
    """
    if VARIABLE in env or OLD_VARIABLE in env or not _supported():
        return {}
    return {VARIABLE: OURS}


def allocator_settings(env: Mapping[str, str]) -> AllocatorSettings:
    """Report the settings that torch has read, or will."""
    value = env.get(VARIABLE) or env.get(OLD_VARIABLE) or ""
    if not value:
        return AllocatorSettings("", "default")
    return AllocatorSettings(value, "meshkiln" if value == OURS else "user")


def too_late() -> bool:
    """Whether torch has been imported, after which these settings change nothing."""
    return "torch" in sys.modules


def _supported() -> bool:
    return platform.system() == "Linux" and "microsoft" not in platform.release().lower()
