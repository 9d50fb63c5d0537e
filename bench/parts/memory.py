"""How much memory does a way take beside its weights? Each runs in a process of its own."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from typing import Any

from bench.parts.sizes import SIZES, Scale
from bench.parts.stage import OURS, REFERENCE
from bench.shape.memory import RESET, status_mb


def peaks_of_ways(stage: str, scale: str) -> list[dict[str, Any]]:
    """Return the peak of each way through a stage, on a CPU in float32."""
    rows = []
    for way in (OURS, REFERENCE):
        command = [sys.executable, "-m", "bench.parts.memory", stage, way, scale]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            reason = done.stderr.strip().splitlines()[-1:] or [f"ended with {done.returncode}"]
            rows.append({"memory_of": stage, "way": way, "failed": reason[0]})
        else:
            rows.append({"memory_of": stage, "way": way, **json.loads(done.stdout)})
    return rows


def peak_of(name: str, way: str, scale: str) -> dict[str, float]:
    """Run one way in this process and read what the kernel noted."""
    import torch

    from bench.parts.stages import stages_of

    torch.set_num_threads(1)
    make = stages_of(SIZES[Scale(scale)])[name]
    stage = make(torch.device("cpu"), torch.float32)
    RESET.write_text("5")  # the kernel notes the highest from here on
    before_mb = status_mb("VmRSS")
    with torch.no_grad():
        stage.call(way)
    peak_mb = status_mb("VmHWM")
    beside_mb = round(peak_mb - before_mb, 1)
    return {"before_mb": before_mb, "peak_mb": peak_mb, "beside_weights_mb": beside_mb}


def main() -> None:
    """Print the peak of one way as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("stage", "way", "scale"):
        parser.add_argument(name)
    args = parser.parse_args()
    print(json.dumps(peak_of(args.stage, args.way, args.scale)))


if __name__ == "__main__":
    main()
