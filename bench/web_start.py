"""How fast does the web process start, and how much memory does it take?

Compared with a web process that imports the engines' libraries, as demo servers do.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from bench.record import Figure, report
from bench.running_server import REPO, running_server

OURS = "from backend.web.app import create_app; create_app()"
HEAVY = f"import cv2, scipy.sparse.linalg, skimage.measure, trimesh; {OURS}"
MEASURE = (
    "import time, resource; t = time.perf_counter(); {body}; "
    "print(time.perf_counter() - t, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
)


def start_once(body: str, data_dir: Path) -> tuple[float, float]:
    """Seconds to build the app in a fresh interpreter, and its peak memory in MB."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE.format(body=body)],
        cwd=REPO,
        env={"PATH": "", "HOME": str(data_dir), "MESHKILN_DATA_DIR": str(data_dir)},
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, memory_mb = map(float, done.stdout.split()[-2:])
    return seconds, memory_mb


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--runs", type=int, default=7)
    args = parser.parse_args()
    with running_server() as server:
        ready_s = server.ready_s
        rss_mb = server.web_process().memory_info().rss / 2**20
        pairs = [
            (start_once(HEAVY, server.data_dir), start_once(OURS, server.data_dir))
            for _ in range(args.runs)
        ]
    heavy_s = Figure.of("with the engines' libraries: start", "s", [h[0] for h, _ in pairs])
    heavy_mb = Figure.of("with the engines' libraries: memory", "MB", [h[1] for h, _ in pairs])
    report(
        "web_start",
        [
            heavy_s,
            Figure.of("web: start", "s", [o[0] for _, o in pairs], compared_with=heavy_s.median),
            heavy_mb,
            Figure.of("web: memory", "MB", [o[1] for _, o in pairs], compared_with=heavy_mb.median),
            Figure.of("web process of a running server: memory", "MB", [rss_mb]),
            Figure.of("serve: start to /readyz (Redis, web, workers)", "s", [ready_s]),
        ],
        {"runs": args.runs},
        args.json,
    )


if __name__ == "__main__":
    main()
