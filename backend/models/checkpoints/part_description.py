"""What the descriptions of P3-SAM and X-Part say: a config.json in the folder of each network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backend.errors import CheckpointConfigInvalid, UnknownTarget, WeightsMissing
from backend.models.checkpoints.checkpoint import (
    Architecture,
    Component,
    ComponentSource,
    PartCheckpoint,
)
from backend.models.checkpoints.config_file import read_config, section_of
from backend.models.checkpoints.hunyuan_description import AUTHORS_PACKAGES
from backend.models.checkpoints.model_files import DESCRIPTION, P3SAM_WEIGHTS, XPART_WEIGHTS
from backend.models.checkpoints.published_part_sizes import (
    CONDITIONER_SIZES,
    DENOISER_SIZES,
    P3SAM_SIZES,
    VAE_SIZES,
)

# The names of the classes are not known for sure; the folder says which network it is.
PART_PACKAGES = ("partgen", "model", "xpart", "p3sam", "p3-sam", *AUTHORS_PACKAGES)
# Some files have the names of P3-SAM under the name of the module that it was trained in.
P3SAM_PREFIXES = ("dit.", "")
SCHEDULER_FOLDER = "scheduler"
_XPART = {
    Component.CONDITIONER: (Architecture.PART_CONDITIONER, CONDITIONER_SIZES),
    Component.DENOISER: (Architecture.PART_DENOISER, DENOISER_SIZES),
    Component.VAE: (Architecture.SHAPE_VAE, VAE_SIZES),
}


def p3sam_checkpoint(folder: Path) -> PartCheckpoint:
    """Describe P3-SAM in the folder that holds its weights.

    Raises
    ------
    WeightsMissing, CheckpointConfigInvalid, UnknownTarget
    """
    weights = _weights(folder, P3SAM_WEIGHTS)
    params, assumed = _sizes(folder / DESCRIPTION, P3SAM_SIZES)
    source = ComponentSource(Architecture.P3SAM, params, weights, P3SAM_PREFIXES)
    return PartCheckpoint(folder, {Component.SEGMENTER: source}, assumed)


def xpart_checkpoint(folder: Path) -> PartCheckpoint:
    """Describe X-Part in the folder that holds one folder for each network.

    Raises
    ------
    WeightsMissing, CheckpointConfigInvalid, UnknownTarget
        Also when its schedule is none that is supported.
    """
    components: dict[Component, ComponentSource] = {}
    assumed: list[str] = []
    for component, (architecture, published) in _XPART.items():
        weights = _weights(folder, XPART_WEIGHTS[component])
        params, missing = _sizes(weights.parent / DESCRIPTION, published)
        components[component] = ComponentSource(architecture, params, weights, ("",))
        assumed.extend(missing)
    _require_plain_schedule(folder / SCHEDULER_FOLDER / DESCRIPTION)
    return PartCheckpoint(folder, components, tuple(assumed))


def _weights(folder: Path, name: str) -> Path:
    if not (folder / name).is_file():
        raise WeightsMissing(f"{folder} lacks {name}.")
    return folder / name


def _sizes(path: Path, published: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Read the parameters of a network; those that are not told are the published ones.

    Returns
    -------
    params : dict
    assumed : tuple of str
        Which were not told, in a sentence.
    """
    name = f"{path.parent.name}/{path.name}"
    if not path.is_file():
        return dict(published), (f"{name} is not there; the published sizes were taken.",)
    told = _params(path)
    missing = [entry for entry in published if entry not in told]
    if not missing:
        return _over(published, told), ()
    words = f"{name} does not tell {', '.join(missing)}; the published values were taken."
    return _over(published, told), (words,)


def _over(published: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    """Put what was told over the published values, also inside of sections."""
    merged = {**published, **told}
    for name, value in published.items():
        inside = told.get(name)
        if isinstance(value, Mapping) and isinstance(inside, Mapping):
            merged[name] = _over(value, inside)
    return merged


def _params(path: Path) -> dict[str, Any]:
    """Return the parameters in a description, which may name a class of the authors.

    Raises
    ------
    CheckpointConfigInvalid
    UnknownTarget
        The class is not the authors'.
    """
    config = read_config(path)
    if "target" not in config:
        return config
    target, params = section_of({path.parent.name: config}, path.parent.name, path)
    package = target.partition(".")[0].lower()
    if not package.startswith(PART_PACKAGES):
        raise UnknownTarget(f"{path} names {target!r}, which is not supported.")
    return params


def _require_plain_schedule(path: Path) -> None:
    """Refuse a schedule that is shifted; the published one is not."""
    if not path.is_file():
        return
    try:
        shift = float(_params(path).get("shift", 1.0))
    except (TypeError, ValueError) as error:
        raise CheckpointConfigInvalid(f"{path}: {error}.") from error
    if shift != 1.0:
        raise UnknownTarget(f"{path} asks for a shift of {shift:g}, which is not supported.")
