"""What a model consists of on the disk."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from backend.models.checkpoints.catalogue import CONFIG_FILES, WEIGHT_FILES, Family, Model
from backend.models.checkpoints.checkpoint import Component

IMAGE_ENCODER_FOLDER = "image_encoder_dinov2"
# One folder for each network, as the diffusers library writes them.
TRIPOSG_FILES: tuple[tuple[str, ...], ...] = (
    ("transformer/config.json",),
    ("transformer/diffusion_pytorch_model.safetensors",),
    ("vae/config.json",),
    ("vae/diffusion_pytorch_model.safetensors",),
    (f"{IMAGE_ENCODER_FOLDER}/config.json",),
    (f"{IMAGE_ENCODER_FOLDER}/model.safetensors",),
)
DESCRIPTION = "config.json"
P3SAM_WEIGHTS = "p3sam.safetensors"
XPART_WEIGHTS = {
    Component.CONDITIONER: "conditioner/conditioner.safetensors",
    Component.DENOISER: "model/model.safetensors",
    Component.VAE: "shapevae/shapevae.safetensors",
}
_XPART_DESCRIPTIONS = (
    DESCRIPTION,
    *(f"{folder}/{DESCRIPTION}" for folder in ("conditioner", "model", "scheduler", "shapevae")),
)
_NEEDED = {
    Family.TRIPOSG: TRIPOSG_FILES,
    Family.P3SAM: ((P3SAM_WEIGHTS,),),
    Family.XPART: tuple((name,) for name in XPART_WEIGHTS.values()),
}
_OPTIONAL = {Family.P3SAM: (DESCRIPTION,), Family.XPART: _XPART_DESCRIPTIONS}


def needed_files(family: Family) -> tuple[tuple[str, ...], ...]:
    """Return what the folder of a model holds, of each tuple of names at least one."""
    return _NEEDED.get(family, (CONFIG_FILES, WEIGHT_FILES))


def optional_files(family: Family) -> tuple[str, ...]:
    """Return what the folder may hold besides, for a model that can be loaded without."""
    return _OPTIONAL.get(family, ())


def lies_among_others(model: Model) -> bool:
    """Return whether the folder of a model also holds folders of other models."""
    return model.family is Family.XPART


def alternatives_in(folder: Path, names: Iterable[str]) -> Path | None:
    """Return the first of several files that a folder holds, None when it holds none."""
    return next((folder / name for name in names if (folder / name).is_file()), None)
