"""Which model a folder holds whose name tells nothing, by its description and never by size."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from backend.errors import MeshkilnError, WeightsMissing
from backend.models.checkpoints.catalogue import (
    CONFIG_FILES,
    MODELS,
    WEIGHT_FILES,
    Family,
    Model,
    model_of,
)
from backend.models.checkpoints.checkpoint import (
    Architecture,
    Component,
    SchedulerKind,
    ShapeCheckpoint,
)
from backend.models.checkpoints.hunyuan_description import described_by
from backend.models.checkpoints.model_files import (
    P3SAM_WEIGHTS,
    REALESRGAN_WEIGHTS,
    TRIPOSG_FILES,
    UNET_WEIGHTS,
    XPART_WEIGHTS,
    alternatives_in,
)

MINI_LATENTS = 512
# Of each model whose files say by their names alone what they are; one of them is enough. X-Part
# comes first: its folder may hold that of P3-SAM, as the repository does.
_TELLING_FILES: dict[Family, tuple[str, ...]] = {
    Family.TRIPOSG: tuple(name for names in TRIPOSG_FILES for name in names),
    Family.XPART: (XPART_WEIGHTS[Component.CONDITIONER], XPART_WEIGHTS[Component.VAE]),
    Family.P3SAM: (P3SAM_WEIGHTS, f"p3sam/{P3SAM_WEIGHTS}"),
    Family.REALESRGAN: REALESRGAN_WEIGHTS,
}
_OF_PICTURES = (*UNET_WEIGHTS, Family.DINOV2)


def identified(folder: Path) -> Model | None:
    """Return the model that a folder holds; None when its description tells of none."""
    return _identified(folder, _stamps(folder))


# Every look for a model asks this of the same folder, and its description takes 7 ms to read.
@lru_cache(maxsize=16)
def _identified(folder: Path, _stamps: tuple[tuple[str, int, int], ...]) -> Model | None:
    try:
        return model_in(folder)
    except MeshkilnError:
        return None


def _stamps(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Tell the files that say what a folder holds apart from others that came in their place."""
    names = (*CONFIG_FILES, *(name for names in _TELLING_FILES.values() for name in names))
    found = ((name, folder / name) for name in names if (folder / name).is_file())
    stats = ((name, path.stat()) for name, path in found)
    return tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in stats)


def model_in(folder: Path) -> Model:
    """Return the model that a folder holds.

    Raises
    ------
    WeightsMissing
        It holds no description.
    CheckpointConfigInvalid, UnknownTarget, PackageMissing
        Its description cannot be read, or is of no model that we know.
    """
    named = _named(folder)
    if named is not None:
        return named
    for family, names in _TELLING_FILES.items():
        if alternatives_in(folder, names):
            return next(model for model in MODELS if model.family is family)
    description = alternatives_in(folder, CONFIG_FILES)
    if description is None:
        raise WeightsMissing(f"{folder} lacks {' or '.join(CONFIG_FILES)}.")
    return _described(described_by(description, folder / WEIGHT_FILES[0]))


def _named(folder: Path) -> Model | None:
    """Return the model of pictures that a folder is named after.

    Their descriptions do not tell one from the other, and their names are the only other thing
    that does.
    """
    for model in MODELS:
        names = (model.id, model.denoiser_folder or model.repository.rpartition("/")[2])
        if model.family in _OF_PICTURES and folder.absolute().name in names:
            return model
    return None


def _described(checkpoint: ShapeCheckpoint) -> Model:
    if checkpoint.components[Component.DENOISER].architecture is Architecture.PLAIN_DENOISER:
        return model_of("hunyuan3d-2.1")
    if checkpoint.takes_views:
        version = "2mv"
    elif checkpoint.components[Component.VAE].params.get("num_latents") == MINI_LATENTS:
        version = "2mini"
    else:
        version = "2.0"
    if not checkpoint.has_guidance_input:
        return model_of(f"hunyuan3d-{version}")
    is_turbo = checkpoint.scheduler.kind is SchedulerKind.CONSISTENCY
    return model_of(f"hunyuan3d-{version}-{'turbo' if is_turbo else 'fast'}")
