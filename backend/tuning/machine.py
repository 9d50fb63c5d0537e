"""What the processor is called, where the system tells."""

from __future__ import annotations

import os
import platform
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")


def processor_name(cpu_info: Path = CPU_INFO) -> str:
    """Return the model of the processor and how many of its cores this machine has.

    ``platform.processor`` is empty or says only ``x86_64`` on most Linux systems.
    """
    model = _model_name(cpu_info) or platform.processor() or platform.machine() or "processor"
    return f"{model}, {os.cpu_count() or 1} cores"


def _model_name(cpu_info: Path) -> str | None:
    try:
        lines = cpu_info.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() == "model name" and value.strip():
            return value.strip()
    return None
