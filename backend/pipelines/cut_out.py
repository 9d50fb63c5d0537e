"""Pipeline ``cut_out``: find the object, show the mask before anything is built from it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.batch_processor import run_engine
from backend.catalog import (
    BackgroundEngine,
    CutOutParams,
    OtherView,
    PipelineName,
    StageName,
)
from backend.engines.background_task import BackgroundTask, CutOut, require_object
from backend.engines.engine import Role
from backend.engines.registry import EngineRegistry
from backend.meshes.picture import Picture, cut_out_of, read_mask, write_cut_out, write_mask
from backend.pipelines.pipeline import OutputFile, PipelineOutcome, PipelineRequest, stage
from backend.progress import ProgressSink, StageProgress

WORKING_PX = 512
FRONT = "front"
LOOK_BELOW = 0.6


class CutOutPipeline:
    """Picture to mask."""

    name = PipelineName.CUT_OUT

    def __init__(self, registry: EngineRegistry) -> None:
        self._registry = registry

    def run(self, request: PipelineRequest, sink: ProgressSink) -> PipelineOutcome:
        """Find the object; raises NoForeground."""
        params = CutOutParams.model_validate(request.params.model_dump())
        with stage(StageName.IMAGE_PREPROCESSING, sink) as progress:
            picture = Picture.read(request.inputs["image"])
            working = picture.scaled_to(WORKING_PX)
            found = find_object(working, request.inputs, params, self._registry, progress)
            outputs = write_mask_files(picture, found, request.out_dir, sink)
        return PipelineOutcome(outputs, {"mask": mask_facts(found)})


def find_object(
    working: Picture,
    inputs: Mapping[str, Path],
    params: CutOutParams,
    registry: EngineRegistry,
    progress: StageProgress,
) -> CutOut:
    """Take the painted mask, the picture's own alpha, or the best engine, in this order."""
    if "mask" in inputs:
        painted = read_mask(inputs["mask"], working.rgba.shape[:2])
        found = require_object(CutOut(painted, "painted", 1.0))
    else:
        engine = registry.choose(Role.BACKGROUND, _engine_name(working, params))
        progress.engine_chosen(Role.BACKGROUND, engine.name)
        found = run_engine(engine, BackgroundTask(working), progress)
    if found.confidence < LOOK_BELOW:
        progress.warn(
            "The object was hard to tell from the background: check the mask, and paint it "
            "where it is wrong."
        )
    return found


def find_views(
    front: Picture,
    found: CutOut,
    inputs: Mapping[str, Path],
    params: CutOutParams,
    registry: EngineRegistry,
    progress: StageProgress,
) -> dict[str, NDArray[np.uint8]]:
    """Cut the object out of its front picture and of those from other sides that were sent.

    Returns
    -------
    dict of str to (h, w, 4) uint8
        'front', 'left', 'back', 'right'; at full size.
    """
    views = {FRONT: cut_out_of(front, found.mask)}
    for side in (view.value for view in OtherView if view.value in inputs):
        picture = Picture.read(inputs[side])
        working = picture.scaled_to(WORKING_PX)
        seen = find_object(working, {}, params, registry, progress)
        views[side] = cut_out_of(picture, seen.mask)
    return views


def mask_facts(found: CutOut) -> dict[str, Any]:
    """JSON-ready findings about the mask."""
    return {
        "method": found.method,
        "confidence": round(found.confidence, 3),
        "coverage": round(found.coverage, 4),
    }


def write_mask_files(
    picture: Picture, found: CutOut, out_dir: Path, sink: ProgressSink
) -> list[OutputFile]:
    """Write mask and cut-out, and show them while the job runs."""
    mask = OutputFile("mask.png", "png", "mask", out_dir / "mask.png")
    cut_out = OutputFile("cutout.png", "png", "cutout", out_dir / "cutout.png")
    write_mask(found.mask, mask.path)
    write_cut_out(picture.scaled_to(max(found.mask.shape)), found.mask, cut_out.path)
    for file in (mask, cut_out):
        sink.artifact(file.name, file.role, file.path)
    return [mask, cut_out]


def _engine_name(working: Picture, params: CutOutParams) -> str:
    if params.background is BackgroundEngine.AUTO and working.has_alpha:
        return BackgroundEngine.ALPHA
    return params.background
