"""All stages by name; each is built when it is its turn. Imports torch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from bench.parts.completing import (
    conditioner_stage,
    decode_stage,
    step_stage,
    trajectory_stage,
)
from bench.parts.finding import encoder_stage, faces_stage, heads_stage, selection_stage
from bench.parts.sizes import PartSizes
from bench.parts.stage import Stage

Make = Callable[[torch.device, torch.dtype], Stage]


def stages_of(sizes: PartSizes) -> dict[str, Make]:
    """Return what builds each stage."""
    return {
        "features": partial(encoder_stage, sizes),
        "heads": partial(heads_stage, sizes),
        "selection": partial(selection_stage, sizes),
        **{f"faces-{faces}": partial(faces_stage, faces, sizes) for faces in sizes.mesh_faces},
        "contexts": partial(conditioner_stage, sizes),
        "step": partial(step_stage, sizes),
        "trajectory": partial(trajectory_stage, sizes),
        "decode": partial(decode_stage, sizes),
    }
