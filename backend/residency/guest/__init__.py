"""What runs inside the process of a hosted engine, under its own interpreter and packages.

It is started as the package ``meshkiln_guest`` by a Python that may be as old as 3.9 and knows
nothing of Meshkiln: standard library only, torch and numpy where the host program brings them,
imports between its files relative.

A program, or an adapter beside it, that knows us may ``import meshkiln_guest`` and use these names.
"""

from .hooks import Canceled, is_canceled, on_offload, report

__all__ = ["Canceled", "device", "is_canceled", "on_offload", "report"]

device = "cpu"
"""Where the weights are while a call runs: ``cuda`` or ``cpu``."""
