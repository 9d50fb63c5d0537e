"""Make a model from a picture on a running server and download it.

    python examples/generate_and_download.py chair.png http://127.0.0.1:7860

Needs only ``requests``.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import requests


def main(picture: Path, server: str) -> None:
    """Submit, wait, download."""
    answer = requests.post(
        f"{server}/api/v1/jobs",
        files={"file": (picture.name, picture.read_bytes())},
        data={"pipeline": "image_to_3d", "preset": "standard"},
        timeout=60,
    )
    answer.raise_for_status()
    job = answer.json()
    while not job["finished_at"]:
        time.sleep(0.5)
        job = requests.get(server + job["links"]["self"], timeout=10).json()
    if job["error"]:
        sys.exit(f"{job['error']['title']}: {job['error']['detail']} {job['error']['advice']}")
    model = next(output for output in job["outputs"] if output["role"] == "model")
    target = picture.with_suffix(".glb")
    target.write_bytes(requests.get(server + model["url"], timeout=60).content)
    print(f"Wrote {target}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "http://127.0.0.1:7860")
