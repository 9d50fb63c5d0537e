"""From a model's name to its description, ready to be loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from backend.errors import EngineUnavailable
from backend.models.checkpoints.acceptance import Acceptances
from backend.models.checkpoints.catalogue import Family, Model, model_of
from backend.models.checkpoints.checkpoint import Checkpoint
from backend.models.checkpoints.finding import FoundModel, require_model
from backend.models.checkpoints.hunyuan_description import hunyuan_checkpoint
from backend.models.checkpoints.part_description import p3sam_checkpoint, xpart_checkpoint
from backend.models.checkpoints.picture_description import (
    delight_checkpoint,
    dinov2_checkpoint,
    paint_checkpoint,
    realesrgan_checkpoint,
)
from backend.models.checkpoints.places import Places
from backend.models.checkpoints.triposg_description import triposg_checkpoint
from backend.settings import Settings
from backend.units import Clock

_IN_SEPARATE_FILES: dict[Family, Callable[[Path], Checkpoint]] = {
    Family.TRIPOSG: triposg_checkpoint,
    Family.P3SAM: p3sam_checkpoint,
    Family.XPART: xpart_checkpoint,
    **{
        family: partial(paint_checkpoint, family=family)
        for family in (Family.PAINT, Family.PAINT_TURBO, Family.PAINT_PBR)
    },
    Family.DELIGHT: delight_checkpoint,
    Family.DINOV2: dinov2_checkpoint,
    Family.REALESRGAN: realesrgan_checkpoint,
}


def open_model(
    model_id: str,
    settings: Settings,
    clock: Clock,
    environment: Mapping[str, str] | None = None,
) -> Checkpoint:
    """Find a model, and refuse it unless its licence has been accepted here.

    What it needs besides has to be there too, and is opened by its own name.

    Parameters
    ----------
    environment : mapping, optional
        The process's own if absent.

    Raises
    ------
    UnknownModel, EngineUnavailable
    LicenceNotAccepted
        Also for files that the user brought himself.
    WeightsMissing
        Says which file is not there, or where it was looked for.
    CheckpointConfigInvalid, UnknownTarget, PackageMissing
    """
    model = runnable_model(model_id)
    places = Places.of(settings, environment)
    found = require_model(model, places)
    acceptances = Acceptances(places.own_folder, clock)
    acceptances.require(model)
    for companion in (model_of(each) for each in model.needs):
        require_model(companion, places)
        acceptances.require(companion)
    return described(found)


def runnable_model(model_id: str) -> Model:
    """Return a model that can be run.

    Raises
    ------
    UnknownModel, EngineUnavailable
    """
    model = model_of(model_id)
    if model.unsupported is not None:
        raise EngineUnavailable(
            f"{model.title} cannot be run yet. {model.unsupported}",
            advice="Run 'python -m backend models list' for the models that can.",
        )
    return model


def described(found: FoundModel) -> Checkpoint:
    """Read the description of a model that is there as a whole.

    Raises
    ------
    WeightsMissing, CheckpointConfigInvalid, UnknownTarget, PackageMissing
    """
    separate = _IN_SEPARATE_FILES.get(found.model.family)
    if separate is not None:
        return separate(found.folder)
    return hunyuan_checkpoint(found.folder, found.vae_folder)
