"""How much memory does a way take beside the weights? Each runs in a process of its own."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.shape.sizes import ModelName, Scale, sizes_of

STEPS = 2
WAYS = ("ours", "plain")
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peaks_of_ways(model: str, scale: str, dtype: str) -> list[dict[str, Any]]:
    """Return the peak of each way from a picture to a mesh."""
    rows = []
    for way in WAYS:
        command = [sys.executable, "-m", "bench.shape.memory", way, model, scale, dtype]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        rows.append({"stage": "memory of the whole", "way": way, **json.loads(done.stdout)})
    return rows


def peak_of(way: str, model: str, scale: str, dtype: str) -> dict[str, float]:
    """Run one way in this process and read what the kernel noted."""
    import torch

    from backend.models.hunyuan3d.picture import prepared_picture
    from bench.shape.__main__ import pear
    from bench.shape.random_weights import random_networks
    from bench.shape.ways import Ours, Plain, given_for

    torch.set_num_threads(1)
    sizes = sizes_of(ModelName(model), Scale(scale))
    networks = random_networks(sizes, torch.device("cpu"), getattr(torch, dtype))
    given = given_for(networks, torch.from_numpy(prepared_picture(pear()).pixels)[None])
    runs = Ours(networks, given) if way == "ours" else Plain(networks, given, None)
    RESET.write_text("5")  # the kernel notes the highest from here on
    before_mb = status_mb("VmRSS")
    with torch.inference_mode():
        runs.made(STEPS, sizes.whole_cells)
    peak_mb = status_mb("VmHWM")
    return {"before_mb": before_mb, "peak_mb": peak_mb, "beside_weights_mb": peak_mb - before_mb}


def status_mb(name: str) -> float:
    """Return an entry of this process in megabytes, as the kernel counts it."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(name))
    return round(int(line.split()[1]) / 1024, 1)


def main() -> None:
    """Print the peak of one way as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("way", "model", "scale", "dtype"):
        parser.add_argument(name)
    args = parser.parse_args()
    print(json.dumps(peak_of(args.way, args.model, args.scale, args.dtype)))


if __name__ == "__main__":
    main()
