"""What a model consists of on the disk."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from backend.errors import WeightsMissing
from backend.models.checkpoints.catalogue import CONFIG_FILES, WEIGHT_FILES, Family, Model
from backend.models.checkpoints.checkpoint import Component
from backend.models.checkpoints.pickle_names import CONVERTED_BIN_SUFFIX, SAFETENSORS_SUFFIX

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
PICTURE_WEIGHTS = "diffusion_pytorch_model"
SCHEDULE = "scheduler/scheduler_config.json"
UNET, PICTURE_VAE, TEXT_ENCODER = "unet", "vae", "text_encoder"
DINOV2_WEIGHTS = ("model.safetensors",)
REALESRGAN_WEIGHTS = ("RealESRGAN_x4plus.safetensors", "RealESRGAN_x4plus.pth")


def _of_diffusers(folder: str, name: str = PICTURE_WEIGHTS) -> tuple[str, ...]:
    """Return the files of one network as the diffusers library names them, preferred first."""
    endings = (SAFETENSORS_SUFFIX, CONVERTED_BIN_SUFFIX, ".bin")
    return tuple(f"{folder}/{name}{ending}" for ending in endings)


_PICTURES = (
    (f"{UNET}/{DESCRIPTION}",),
    (f"{PICTURE_VAE}/{DESCRIPTION}",),
    _of_diffusers(PICTURE_VAE),
    (SCHEDULE,),
)
UNET_WEIGHTS: dict[Family, tuple[str, ...]] = {
    Family.PAINT: _of_diffusers(UNET),
    # The .safetensors file in this folder is reported to be another model than the .bin file,
    # which is the one that the authors' program reads.
    Family.PAINT_TURBO: _of_diffusers(UNET)[1:],
    Family.PAINT_PBR: _of_diffusers(UNET),
    Family.DELIGHT: _of_diffusers(UNET),
}
VAE_WEIGHTS = _of_diffusers(PICTURE_VAE)
TEXT_WEIGHTS = (
    f"{TEXT_ENCODER}/model.safetensors",
    *_of_diffusers(TEXT_ENCODER, "pytorch_model")[1:],
)
_NEEDED: dict[Family, tuple[tuple[str, ...], ...]] = {
    Family.TRIPOSG: TRIPOSG_FILES,
    Family.P3SAM: ((P3SAM_WEIGHTS,),),
    Family.XPART: tuple((name,) for name in XPART_WEIGHTS.values()),
    Family.DINOV2: ((DESCRIPTION,), DINOV2_WEIGHTS),
    Family.REALESRGAN: (REALESRGAN_WEIGHTS,),
    **{family: (*_PICTURES, names) for family, names in UNET_WEIGHTS.items()},
}
# Light is taken away under an empty text, of which the encoder has to say something once.
_NEEDED[Family.DELIGHT] += ((f"{TEXT_ENCODER}/{DESCRIPTION}",), TEXT_WEIGHTS)
_OPTIONAL = {Family.P3SAM: (DESCRIPTION,), Family.XPART: _XPART_DESCRIPTIONS}


def needed_files(family: Family) -> tuple[tuple[str, ...], ...]:
    """Return what the folder of a model holds, of each tuple of names at least one."""
    return _NEEDED.get(family, (CONFIG_FILES, WEIGHT_FILES))


def optional_files(family: Family) -> tuple[str, ...]:
    """Return what the folder may hold besides, for a model that can be loaded without."""
    return _OPTIONAL.get(family, ())


def lies_among_others(model: Model) -> bool:
    """Return whether the folder of a model also holds what is not needed for it."""
    return model.family in (Family.XPART, Family.REALESRGAN, Family.DINOV2, *UNET_WEIGHTS)


def alternatives_in(folder: Path, names: Iterable[str]) -> Path | None:
    """Return the first of several files that a folder holds, None when it holds none."""
    return next((folder / name for name in names if (folder / name).is_file()), None)


def required_file(folder: Path, names: tuple[str, ...]) -> Path:
    """Return the first of several files that a folder holds.

    Raises
    ------
    WeightsMissing
    """
    found = alternatives_in(folder, names)
    if found is None:
        raise WeightsMissing(f"{folder} lacks {' or '.join(names)}.")
    return found
