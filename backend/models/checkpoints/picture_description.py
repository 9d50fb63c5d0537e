"""What the descriptions of models say that make pictures: in folders of the library diffusers.

Of what lies there only the weights and the descriptions of networks are read. A modules.py beside
the weights is neither got nor run; nothing is imported by what a file says.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backend.errors import CheckpointConfigInvalid, UnknownTarget
from backend.models.checkpoints.catalogue import Family
from backend.models.checkpoints.checkpoint import (
    Architecture,
    Checkpoint,
    Component,
    ComponentSource,
    PictureCheckpoint,
)
from backend.models.checkpoints.config_file import read_config
from backend.models.checkpoints.model_files import (
    DESCRIPTION,
    DINOV2_WEIGHTS,
    PICTURE_VAE,
    REALESRGAN_WEIGHTS,
    SCHEDULE,
    TEXT_ENCODER,
    TEXT_WEIGHTS,
    UNET,
    UNET_WEIGHTS,
    VAE_WEIGHTS,
    required_file,
)

CLASS_ENTRY = "_class_name"
# What the description of a painting network does not tell: whether it paints metal and roughness.
KIND_ENTRY = "paint_kind"
UNET_CLASSES = frozenset({"UNet2DConditionModel", "UNet2p5DConditionModel"})
VAE_CLASSES = frozenset({"AutoencoderKL"})
# How noise was mixed in when Stable Diffusion 2.1 was trained; the networks know nothing else.
TRAINING: Mapping[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "prediction_type": "v_prediction",
}
LAST_STEP_IS_NOISE = "rescale_betas_zero_snr"
UPSCALER_PREFIXES = ("params_ema.", "params.", "")


def paint_checkpoint(folder: Path, family: Family) -> PictureCheckpoint:
    """Describe a model that paints views of an object.

    Raises
    ------
    WeightsMissing, CheckpointConfigInvalid, UnknownTarget
    """
    kind = "pbr" if family is Family.PAINT_PBR else "colour"
    params = {**_params(folder, UNET, UNET_CLASSES), KIND_ENTRY: kind}
    weights = required_file(folder, UNET_WEIGHTS[family])
    # both are in one file, and each takes its own by their whole names
    sources = {
        Component.UNET: ComponentSource(Architecture.PAINT_UNET, params, weights, ("",)),
        Component.REFERENCE: ComponentSource(Architecture.PAINT_REFERENCE, params, weights, ("",)),
    }
    return _picture_checkpoint(folder, sources, last_step_is_noise=True)


def delight_checkpoint(folder: Path) -> PictureCheckpoint:
    """Describe the model that takes light and shadow out of a picture.

    Raises
    ------
    WeightsMissing, CheckpointConfigInvalid, UnknownTarget
    """
    weights = required_file(folder, UNET_WEIGHTS[Family.DELIGHT])
    params = _params(folder, UNET, UNET_CLASSES)
    text = read_config(folder / TEXT_ENCODER / DESCRIPTION)
    sources = {
        Component.UNET: ComponentSource(Architecture.DELIGHT_UNET, params, weights, ("",)),
        Component.TEXT_ENCODER: ComponentSource(
            Architecture.CLIP_TEXT, text, required_file(folder, TEXT_WEIGHTS), ("text_model.", "")
        ),
    }
    return _picture_checkpoint(folder, sources, last_step_is_noise=False)


def dinov2_checkpoint(folder: Path) -> Checkpoint:
    """Describe an image encoder that is published on its own.

    Raises
    ------
    WeightsMissing, CheckpointConfigInvalid, UnknownTarget
    """
    path = folder / DESCRIPTION
    params = read_config(path)
    if params.get("model_type", "dinov2") != "dinov2":
        raise UnknownTarget(f"{path} describes a {params['model_type']!r}, not a 'dinov2'.")
    weights = required_file(folder, DINOV2_WEIGHTS)
    source = ComponentSource(Architecture.DINOV2, params, weights, ("dinov2.", ""))
    return Checkpoint(folder, {Component.IMAGE_ENCODER: source})


def realesrgan_checkpoint(folder: Path) -> Checkpoint:
    """Describe the network that makes pictures four times as large; its file has no description.

    Raises
    ------
    WeightsMissing
    """
    weights = required_file(folder, REALESRGAN_WEIGHTS)
    source = ComponentSource(Architecture.UPSCALER, {}, weights, UPSCALER_PREFIXES)
    return Checkpoint(folder, {Component.UPSCALER: source})


def _picture_checkpoint(
    folder: Path, sources: Mapping[Component, ComponentSource], *, last_step_is_noise: bool
) -> PictureCheckpoint:
    vae = ComponentSource(
        Architecture.PICTURE_VAE,
        _params(folder, PICTURE_VAE, VAE_CLASSES),
        required_file(folder, VAE_WEIGHTS),
        ("",),
    )
    wanted = {**TRAINING, LAST_STEP_IS_NOISE: last_step_is_noise}
    assumed = _require_schedule(folder / SCHEDULE, wanted)
    return PictureCheckpoint(folder, {**sources, Component.VAE: vae}, wanted, assumed)


def _params(folder: Path, part: str, classes: frozenset[str]) -> dict[str, Any]:
    """Read the description of a network.

    Raises
    ------
    UnknownTarget
        It is of another class.
    """
    path = folder / part / DESCRIPTION
    params = read_config(path)
    name = params.get(CLASS_ENTRY)
    if name is not None and name not in classes:
        raise UnknownTarget(f"{path} names {name!r}, which is not supported.")
    return params


def _require_schedule(path: Path, wanted: Mapping[str, Any]) -> tuple[str, ...]:
    """Refuse noise of another kind than that which the networks were made for.

    How the steps are spaced is not asked: the authors' program sets that itself.

    Returns
    -------
    tuple of str
        What the description does not tell, in a sentence.
    """
    told = read_config(path)
    for name, value in wanted.items():
        if name in told and not _is_same(told[name], value, name, path):
            raise UnknownTarget(f"{path}: {name} is {told[name]!r}; only {value!r} is known.")
    missing = [name for name in wanted if name not in told]
    if not missing:
        return ()
    return (f"{path.name} does not tell {', '.join(missing)}; the published values were taken.",)


def _is_same(told: object, value: object, name: str, path: Path) -> bool:
    if not isinstance(value, float):
        return told == value
    if not isinstance(told, int | float):
        raise CheckpointConfigInvalid(f"{path}: {name} is {told!r}, which is no number.")
    return abs(told - value) <= 1e-9
