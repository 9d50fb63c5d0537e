"""How long does one click take, from the request to the part, with P3-SAM at its real size?

A real server with random weights of the published sizes finds parts of made solids once, then
answers clicks at different places of them: request, queue, worker, mask heads and back. The time
does not depend on what the weights know. ``--points 20000 100000`` says how closely it looks.
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import requests
import torch
from numpy.typing import NDArray
from rich.console import Console
from safetensors.torch import save_file

from backend.engines.p3sam_effort import DRAFT_POINTS, MODEL_ID
from backend.models.checkpoints.acceptance import Acceptances
from backend.models.checkpoints.catalogue import model_of
from backend.models.checkpoints.published_part_sizes import P3SAM_SIZES
from backend.models.p3sam.config import P3SAM
from backend.models.p3sam.p3sam_weights import upstream_shapes
from backend.units import SystemClock
from bench.parts.inputs import solids
from bench.record import Figure, report
from bench.running_server import RunningServer, running_server
from bench.shape.random_weights import random_state

PROMPTS = 16
"""Of the job that finds the parts; clicks cost the same whatever it asked."""
LONGEST_S, CLICK_LOOK_S, JOB_LOOK_S = 1200.0, 0.01, 0.5
ENDED = frozenset({"succeeded", "failed", "canceled", "expired"})


@dataclass(frozen=True)
class Clicks:
    """What clicks on one mesh took, in seconds.

    Parameters
    ----------
    finding_s : float
        Until the parts were found, from the request on.
    first_s : float
        The first click, for which the worker computes what all share.
    next_s : list of float
    """

    points: int
    finding_s: float
    first_s: float
    next_s: list[float]


def clicked(server: RunningServer, mesh: bytes, places: NDArray[np.float64], points: int) -> Clicks:
    """Find the parts of a mesh, then ask for the part at each place."""
    started_s = time.perf_counter()
    job = _sent(server, mesh, points)
    found = _ended(server, job, JOB_LOOK_S)
    finding_s = time.perf_counter() - started_s
    if found["facts"]["parts"]["points"] != points:
        raise RuntimeError("the server looked at another number of points")
    taken = [_click(server, job, place) for place in places]
    return Clicks(points, finding_s, taken[0], taken[1:])


def _sent(server: RunningServer, mesh: bytes, points: int) -> str:
    answer = requests.post(
        f"{server.url}/api/v1/jobs",
        files={"file": ("solids.glb", mesh)},
        data={"pipeline": "segment_parts", "engine": "p3sam", "points": points,
              "prompts": PROMPTS, "seed": 1},
        timeout=60,
    )  # fmt: skip
    answer.raise_for_status()
    return str(answer.json()["id"])


def _click(server: RunningServer, job: str, place: NDArray[np.float64]) -> float:
    """Ask for the part at a place; returns the seconds until its patches are there."""
    session, started_s = requests.Session(), time.perf_counter()
    answer = session.post(
        f"{server.url}/api/v1/jobs/{job}/picks", json={"point": place.tolist()}, timeout=60
    )
    answer.raise_for_status()
    pick = answer.json()["id"]
    _ended(server, pick, CLICK_LOOK_S)
    told = session.get(f"{server.url}/api/v1/jobs/{pick}/files/pick.json", timeout=60)
    elapsed_s = time.perf_counter() - started_s
    if not told.json()["was_known"]:
        raise RuntimeError("the worker had forgotten the mesh")
    return elapsed_s


def _ended(server: RunningServer, job: str, look_s: float) -> dict[str, Any]:
    """Wait for a job; raises RuntimeError unless it succeeds."""
    session, started_s = requests.Session(), time.perf_counter()
    while time.perf_counter() - started_s < LONGEST_S:
        found: dict[str, Any] = session.get(f"{server.url}/api/v1/jobs/{job}", timeout=60).json()
        if found["status"] in ENDED:
            if found["status"] != "succeeded":
                raise RuntimeError(f"job {job} {found['status']}: {found['error']}")
            return found
        time.sleep(look_s)
    raise RuntimeError(f"job {job} took more than {LONGEST_S:.0f} s")


def write_model(folder: Path) -> None:
    """Write P3-SAM with random weights of the published sizes, in the published layout."""
    folder.mkdir(parents=True)
    params = json.dumps({"target": "model.P3SAM", "params": dict(P3SAM_SIZES)}, default=dict)
    (folder / "config.json").write_text(params)
    state = random_state(upstream_shapes(P3SAM), torch.device("cpu"), torch.float32)
    save_file(state, folder / "p3sam.safetensors")


def measured(points: list[int], clicks: int, faces: int) -> Iterator[Clicks]:
    """Start a server with a model of the published sizes, and click."""
    mesh = solids(faces)
    file = io.BytesIO()
    mesh.export(file, file_type="glb")
    rng = np.random.default_rng(1)
    places = mesh.triangles_center[rng.integers(0, len(mesh.faces), clicks + 1)]
    with tempfile.TemporaryDirectory(prefix="mk-click-") as folder:
        models = Path(folder) / "models"
        write_model(models / "Hunyuan3D-Part" / "p3sam")
        with running_server(MESHKILN_MODEL_PATH=str(models)) as server:
            record = Acceptances(server.data_dir / "models", SystemClock())
            record.accept(model_of(MODEL_ID))
            for count in points:
                yield clicked(server, file.getvalue(), places, count)
                Console().print(f"{count} points done")


def figures_of(clicks: Clicks) -> list[Figure]:
    """Summarise what was measured with one number of points."""
    name = f"{clicks.points} points"
    return [
        Figure.of(f"{name}: click, request to answer", "s", clicks.next_s),
        Figure.of(f"{name}: first click on a mesh", "s", [clicks.first_s]),
        Figure.of(f"{name}: finding the parts with {PROMPTS} prompts", "s", [clicks.finding_s]),
    ]


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, nargs="+", default=[DRAFT_POINTS])
    parser.add_argument("--clicks", type=int, default=10)
    parser.add_argument("--faces", type=int, default=100_000)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    found = [one for clicks in measured(args.points, args.clicks, args.faces)
             for one in figures_of(clicks)]  # fmt: skip
    settings = {
        "points": args.points,
        "clicks": args.clicks,
        "faces": len(solids(args.faces).faces),
        "weights": "random, published sizes, float32",
    }
    report("parts_click", found, settings, args.json)


if __name__ == "__main__":
    main()
