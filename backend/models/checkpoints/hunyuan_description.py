"""What a description in the published layout of Hunyuan3D says.

The classes it names are looked up in a table by name; nothing is imported by what a file says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from backend.errors import CheckpointConfigInvalid, UnknownTarget
from backend.models.checkpoints.catalogue import CONFIG_FILES, WEIGHT_FILES
from backend.models.checkpoints.checkpoint import (
    Architecture,
    Component,
    ComponentSource,
    PictureSpec,
    SchedulerKind,
    SchedulerSpec,
    ShapeCheckpoint,
)
from backend.models.checkpoints.config_file import entry_of, read_config, section_of
from backend.models.checkpoints.model_files import required_file

AUTHORS_PACKAGES = frozenset({"hy3dgen", "hy3dshape"})
IMAGE_PROCESSOR = "ImageProcessorV2"
IMAGE_ENCODER = "DinoImageEncoder"
MULTI_VIEW_PREFIX, MULTI_VIEW_SUFFIX = "MV", "MV"
CONSISTENCY_GRID_SIZE = 50
_ARCHITECTURES = {
    Component.DENOISER: {
        "Hunyuan3DDiT": Architecture.FLUX_DENOISER,
        "HunYuanDiTPlain": Architecture.PLAIN_DENOISER,
    },
    Component.VAE: {"ShapeVAE": Architecture.SHAPE_VAE},
    Component.CONDITIONER: {"SingleImageEncoder": Architecture.CONDITIONER},
}
_SCHEDULERS = {
    "FlowMatchEulerDiscreteScheduler": SchedulerKind.EULER,
    "ConsistencyFlowMatchEulerDiscreteScheduler": SchedulerKind.CONSISTENCY,
}


def hunyuan_checkpoint(folder: Path, vae_folder: Path | None = None) -> ShapeCheckpoint:
    """Describe the model in a folder with config.yaml and weights.

    Parameters
    ----------
    vae_folder : Path, optional
        Folder of a VAE that takes the place of the one beside the denoiser.

    Raises
    ------
    WeightsMissing, CheckpointConfigInvalid, UnknownTarget
    """
    checkpoint = described_by(
        required_file(folder, CONFIG_FILES), required_file(folder, WEIGHT_FILES)
    )
    if vae_folder is None:
        return checkpoint
    components = {**checkpoint.components, Component.VAE: lone_vae(vae_folder)}
    return replace(checkpoint, components=components)


def described_by(path: Path, weights: Path) -> ShapeCheckpoint:
    """Read a description of weights, which need not be there.

    Raises
    ------
    CheckpointConfigInvalid, UnknownTarget
    """
    config = read_config(path)
    components = {
        component: _component(config, component, path, weights) for component in _ARCHITECTURES
    }
    conditioner = components[Component.CONDITIONER].architecture
    guided = components[Component.DENOISER].params.get("guidance_embed", False)
    return ShapeCheckpoint(
        folder=path.parent,
        components=components,
        scheduler=_scheduler(config, path),
        picture=_picture(config, path),
        has_guidance_input=bool(guided),
        takes_views=conditioner is Architecture.MULTI_VIEW_CONDITIONER,
    )


def lone_vae(folder: Path) -> ComponentSource:
    """Describe a VAE that is published in a folder of its own.

    Its description is that of the section alone, or has the section; so with its tensors.
    """
    path = required_file(folder, CONFIG_FILES)
    config = read_config(path)
    sections = config if Component.VAE in config else {str(Component.VAE): config}
    source = _component(sections, Component.VAE, path, required_file(folder, WEIGHT_FILES))
    return replace(source, prefixes=(f"{Component.VAE}.", ""))


def _component(
    config: Mapping[str, Any], component: Component, path: Path, weights: Path
) -> ComponentSource:
    target, params = section_of(config, component, path)
    architecture = _ARCHITECTURES[component].get(_class_name(target))
    if architecture is None:
        raise _unknown(target, component, path)
    if component is Component.CONDITIONER and _has_views(params, path):
        architecture = Architecture.MULTI_VIEW_CONDITIONER
    return ComponentSource(architecture, params, weights, (f"{component}.",))


def _has_views(params: Mapping[str, Any], path: Path) -> bool:
    """Return whether the image encoder is the one for several views, by its published name."""
    encoder = entry_of(params, "main_image_encoder", path)
    name = encoder.get("type") if isinstance(encoder, dict) else None
    if name not in (IMAGE_ENCODER, IMAGE_ENCODER + MULTI_VIEW_SUFFIX):
        raise _unknown(str(name), Component.CONDITIONER, path)
    return bool(name != IMAGE_ENCODER)


def _scheduler(config: Mapping[str, Any], path: Path) -> SchedulerSpec:
    target, params = section_of(config, "scheduler", path)
    kind = _SCHEDULERS.get(_class_name(target))
    if kind is None:
        raise _unknown(target, "scheduler", path)
    try:
        if kind is SchedulerKind.CONSISTENCY:
            grid_size = int(params.get("pcm_timesteps", CONSISTENCY_GRID_SIZE))
            return SchedulerSpec(kind, grid_size=grid_size)
        return SchedulerSpec(kind, shift=float(params.get("shift", 1.0)))
    except (TypeError, ValueError) as error:
        raise CheckpointConfigInvalid(f"Section 'scheduler' of {path}: {error}.") from error


def _picture(config: Mapping[str, Any], path: Path) -> PictureSpec:
    target, params = section_of(config, "image_processor", path)
    if _class_name(target).removeprefix(MULTI_VIEW_PREFIX) != IMAGE_PROCESSOR:
        raise _unknown(target, "image_processor", path)
    try:
        return PictureSpec(int(params.get("size", 512)), float(params.get("border_ratio", 0.15)))
    except (TypeError, ValueError) as error:
        raise CheckpointConfigInvalid(f"Section 'image_processor' of {path}: {error}.") from error


def _class_name(target: str) -> str:
    """Return the class of a published name, or nothing when it is none of the authors'."""
    package, _, _ = target.partition(".")
    return target.rpartition(".")[2] if package in AUTHORS_PACKAGES else ""


def _unknown(target: str, section: str, path: Path) -> UnknownTarget:
    return UnknownTarget(f"Section '{section}' of {path} names {target!r}, which is not supported.")
