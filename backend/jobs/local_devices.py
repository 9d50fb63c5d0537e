"""What the devices of this machine are called that work may have been measured on."""

from __future__ import annotations

import os

from backend.gpu.telemetry import telemetry_source, visible_devices
from backend.tuning.machine import processor_name


class LocalDevices:
    """Names the cards that this process may use, and the processor; asks for each only once.

    A change of card takes a restart. While there is none it is asked for again: torch tells of
    one only once it is loaded.
    """

    def __init__(self) -> None:
        self._cards: frozenset[str] = frozenset()
        self._processor: str | None = None

    def __call__(self) -> frozenset[str]:
        """Return the names."""
        self._cards = self._cards or _card_names()
        self._processor = self._processor or processor_name()
        return self._cards | {self._processor}


def is_same_device(measured_on: str, present: str) -> bool:
    """Whether work was measured on a device that is there; CUDA names a slice of a card longer.

    >>> is_same_device("NVIDIA H200 MIG 1g.18gb", "NVIDIA H200")
    True
    >>> is_same_device("NVIDIA H200 NVL", "NVIDIA H200")
    False
    """
    return measured_on == present or measured_on.startswith(f"{present} MIG ")


def _card_names() -> frozenset[str]:
    cards = visible_devices(telemetry_source().sample(), os.environ)
    return frozenset(str(card["name"]) for card in cards if card.get("name"))
