"""What does a draft of P3-SAM cost on a processor, at its real size?

Random weights of the published sizes, step by step as the engine takes them, on made solids. The
time does not depend on what the weights know; which parts come out does, and is not looked at.
``--points`` and ``--prompts`` change the sizes of the draft.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from rich.console import Console

from backend.catalog import Preset
from backend.engines.p3sam_effort import effort_for
from backend.engines.part_tasks import SegmentationWishes
from backend.meshes.mask_parts.face_parts import face_parts
from backend.meshes.mask_parts.surface_samples import surface_samples
from backend.models.p3sam.config import P3SAM
from backend.models.p3sam.farthest_points import farthest_points
from backend.models.p3sam.mask_selection import select_masks
from backend.models.p3sam.network import P3Sam
from backend.models.p3sam.p3sam_weights import fold, upstream_shapes
from backend.models.p3sam.prompt_masks import CPU_CHUNK_POINTS, CPU_PROMPT_BATCH, prompt_masks
from backend.models.sonata.serialization import order_permutations
from backend.models.sonata.voxels import voxel_cloud
from bench.parts.inputs import SEED, Weights, loaded, solids
from bench.record import Figure, report

CPU = torch.device("cpu")
FACES = 100_000
STEPS = ("encode_points", "predict_masks", "select_masks", "label_faces")
Made = TypeVar("Made")


class Clock:
    """Keeps what each step took, run by run."""

    def __init__(self) -> None:
        self.elapsed_s: dict[str, list[float]] = {name: [] for name in STEPS}

    def timed(self, name: str, work: Callable[[], Made]) -> Made:
        """Do something and note its wall time."""
        started_s = time.perf_counter()
        made = work()
        self.elapsed_s[name].append(time.perf_counter() - started_s)
        return made


def network() -> P3Sam:
    """Build P3-SAM with random weights of the published sizes."""
    weights = Weights.drawn(upstream_shapes(P3SAM), lambda state: fold(state, P3SAM), CPU,
                            torch.float32)  # fmt: skip
    with torch.device("meta"):
        made = P3Sam(P3SAM)
    found: P3Sam = loaded(made, weights)
    return found


@torch.inference_mode()
def segment(net: P3Sam, points: int, prompts: int, clock: Clock) -> int:
    """Take all steps on one mesh; returns its number of faces."""
    mesh = solids(FACES)
    samples = surface_samples(mesh.vertices, mesh.faces, points, SEED)
    cloud = voxel_cloud(samples.points, samples.normals, np.random.default_rng(SEED))
    orders = order_permutations(torch.Generator().manual_seed(SEED), 5)
    rows, cells = torch.from_numpy(cloud.features), torch.from_numpy(cloud.cells)
    features = clock.timed(
        "encode_points", lambda: net.features(rows, cells, orders)[torch.from_numpy(cloud.inverse)]
    )
    places = torch.from_numpy(cloud.shifted).float()
    masks = clock.timed(
        "predict_masks",
        lambda: prompt_masks(
            net.heads,
            net.heads.point_terms(features, places),
            places[farthest_points(places, prompts)],
            chunk_points=CPU_CHUNK_POINTS,
            prompt_batch=CPU_PROMPT_BATCH,
        ),
    )
    picked = clock.timed("select_masks", lambda: select_masks(masks, cloud.shifted))
    clock.timed(
        "label_faces",
        lambda: face_parts(mesh.vertices, mesh.faces, samples.faces, picked.labels),
    )
    return len(mesh.faces)


def main() -> None:
    """Measure and report."""
    draft = effort_for(SegmentationWishes(Preset.DRAFT), on_gpu=False)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=draft.points)
    parser.add_argument("--prompts", type=int, default=draft.prompts)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    net, clock = network(), Clock()
    faces = 0
    for number in range(args.rounds):
        faces = segment(net, args.points, args.prompts, clock)
        Console().print(f"run {number + 1} of {args.rounds} done")
    whole = [sum(times) for times in zip(*clock.elapsed_s.values(), strict=True)]
    rows = {**clock.elapsed_s, "all steps": whole}
    figures = [Figure.of(name, "s", times) for name, times in rows.items()]
    report("parts_draft", figures, _settings(args, faces), args.json)


def _settings(args: argparse.Namespace, faces: int) -> dict[str, Any]:
    return {
        "points": args.points,
        "prompts": args.prompts,
        "faces": faces,
        "threads": args.threads,
        "weights": "random, published sizes, float32",
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "torch": torch.__version__,
    }


if __name__ == "__main__":
    main()
